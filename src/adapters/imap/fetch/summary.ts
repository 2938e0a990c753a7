/** Items that were rendered at delivery: ENVELOPE, BODY, BODYSTRUCTURE, PREVIEW. */
import { writeString } from '../content.ts'
import type { FetchItem } from './item.ts'

const rendered = (label: string, name: 'envelope' | 'body' | 'bodyStructure'): FetchItem => ({
  needs: 'summary',
  write: ({ session, summary }) => {
    session.out.text(label)
    session.out.bytes(summary!.section(name))
  },
})

export const envelope = rendered('ENVELOPE ', 'envelope')
export const body = rendered('BODY ', 'body')
export const bodyStructure = rendered('BODYSTRUCTURE ', 'bodyStructure')

/** RFC 8970: as a literal, for it is UTF-8. */
export const preview: FetchItem = {
  needs: 'summary',
  write: ({ session, summary }) => {
    session.out.text('PREVIEW ')
    writeString(session, summary!.section('preview'))
  },
}

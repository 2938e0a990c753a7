/** Of a call's signalling, what begins it: the one line that mail programs show of a call. */
import { toLatin1 } from '../../bytes.ts'
import type { Part } from '../../message/part.ts'

const beginnings = { jingle: /session-initiate|<propose[\s>]/, matrix: /"m\.call\.invite"/ } as const

export const isCallStart = ({ protocol, payload }: Extract<Part, { readonly kind: 'call' }>): boolean =>
  beginnings[protocol].test(toLatin1(payload))

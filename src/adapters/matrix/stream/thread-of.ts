/** To which thread of its room an event belongs (Client-Server API, "Threaded read receipts"). */
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { messageOf, type ViewParts } from '../events/event-view.ts'
import { eventId } from '../names.ts'
import { keyOfMessage } from './event-keys.ts'
import { relationsOf } from './relations.ts'
import type { EventKey, TimelineEntry } from './rows.ts'

/** What is said outside of threads, their roots too. */
export const mainThread = 'main'

/** @returns the event id of its root, or `main`; what is about an event is where that is */
export function threadOf(
  parts: Pick<ViewParts, 'services' | 'stream'>,
  tx: ReadTx,
  account: Identity,
  entry: TimelineEntry,
): string {
  let at: TimelineEntry | undefined = entry
  for (let hop = 0; at !== undefined && hop <= limits.matrixThreadHopsMax; hop += 1) {
    const { root, about } = nextOf(parts, tx, account, at)
    if (root !== undefined) return eventId(root)
    const next: TimelineEntry | undefined = about && parts.stream.event(tx, account, about)?.entry
    at = next?.room === entry.room ? next : undefined
  }
  return mainThread
}

function nextOf(
  { services }: Pick<ViewParts, 'services'>,
  tx: ReadTx,
  account: Identity,
  { source }: TimelineEntry,
): { readonly root?: EventKey | undefined; readonly about?: EventKey | undefined } {
  if (source.kind === 'reaction') return { about: keyOfMessage(source.target) }
  if (source.kind !== 'message') return {}
  const message = messageOf(services, tx, account, source.message)
  const relations = message === undefined ? [] : relationsOf(message)
  return { root: relations.find(({ type }) => type === 'm.thread')?.target, about: relations[0]?.target }
}

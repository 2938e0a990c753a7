/** What the server's parts know of a client, written down for the next process. */
import type { ClientState } from '../client.ts'
import { type Element, serialise } from '../element.ts'
import { elementOf } from '../xml-reader.ts'
import type { StateRow } from './stream-rows.ts'

/** Presences and notes are replaced, never changed. */
const written = new WeakMap<object, string>()

function once<T extends object>(value: T, write: (value: T) => string): string {
  const known = written.get(value)
  if (known !== undefined) return known
  const text = write(value)
  written.set(value, text)
  return text
}

export function stateRow({ carbons, wantsRoster, priority, presence, upTo, notes }: ClientState): StateRow {
  return {
    carbons,
    wantsRoster,
    priority,
    presence: presence && once(presence, (one: Element) => serialise(one)),
    upTo,
    notes: once(notes, (one) => JSON.stringify(one)),
  }
}

export const stateOf = ({ presence, notes, ...rest }: StateRow): Omit<ClientState, 'isInactive'> => ({
  ...rest,
  presence: presence === undefined ? undefined : elementOf(presence),
  notes: JSON.parse(notes) as Record<string, string>,
})

/** What a client is told when those who are in a room change: one presence after another that leads from before to now. */
import type { Occupant, Occupants } from './rooms.ts'

export type Change =
  /** `nick`: what the same occupant is called from now on; told where nobody else was called so (XEP-0045 §7.6). */
  | {
      readonly kind: 'gone'
      readonly occupant: Occupant
      readonly isMember: boolean
      readonly nick: string | undefined
    }
  | { readonly kind: 'here'; readonly occupant: Occupant }

/** First those who go, so that no nick has two owners at any moment. */
export function changesOf(before: Occupants, now: Occupants): readonly Change[] {
  const takenBefore = new Set([...before.values()].map(({ nick }) => nick))
  const gone = [...before.values()].flatMap((occupant): readonly Change[] => {
    const next = now.get(occupant.identity)
    if (next?.nick === occupant.nick) return []
    const nick = next === undefined || takenBefore.has(next.nick) ? undefined : next.nick
    return [{ kind: 'gone', occupant, isMember: next !== undefined, nick }]
  })
  const here = [...now.values()].flatMap((occupant): readonly Change[] =>
    isSame(before.get(occupant.identity), occupant) ? [] : [{ kind: 'here', occupant }],
  )
  return [...gone, ...here]
}

const isSame = (before: Occupant | undefined, now: Occupant): boolean =>
  before !== undefined &&
  before.nick === now.nick &&
  before.affiliation === now.affiliation &&
  before.role === now.role &&
  before.jid === now.jid

/**
 * What members are called in a room: by their name, and by a piece of their identity besides where that is somebody else's
 * name too. It depends on who is in the group and what they are called, on nothing else; whoever is longer in the group
 * keeps the plain name.
 */
import { fromUtf8 } from '../../../../core/bytes.ts'
import type { Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import { opaqueString } from '../../precis.ts'

export interface Called {
  readonly identity: Identity
  /** As its person or its contact wrote it; may be empty. */
  readonly name: string
}

/** @param members the longest in the group first */
export function nicksOf(members: readonly Called[]): ReadonlyMap<Identity, string> {
  const taken = new Set<string>()
  const nicks = new Map<Identity, string>()
  for (const { identity, name } of members) {
    const nick = freeNick(name, identity, (one) => taken.has(sameAs(one)))
    taken.add(sameAs(nick))
    nicks.set(identity, nick)
  }
  return nicks
}

/** Of one more, such as an author who has left. */
export function freeNick(name: string, identity: Identity, isTaken: (nick: string) => boolean): string {
  const plain = nickOf(name)
  if (plain !== '' && !isTaken(plain)) return plain
  for (let digits = 4; digits <= identity.length; digits += 4) {
    const nick = marked(plain, identity.slice(0, digits))
    if (!isTaken(nick)) return nick
  }
  for (let count = 2; ; count += 1) {
    const nick = marked(plain, `${identity.slice(0, 8)} ${count}`)
    if (!isTaken(nick)) return nick
  }
}

const marked = (plain: string, mark: string): string => (plain === '' ? mark : `${plain} (${mark})`)

/** Some scripts and emoji are written with them (RFC 5892 A.1, A.2). */
const joiners = /[\u200c\u200d]/g

/** Two nicks that a reader would take for one. */
const sameAs = (nick: string): string => nick.replaceAll(joiners, '').normalize('NFKC').toLowerCase()

/** As a resource can hold it (RFC 7622 §3.4), in one line and not too long; what it cannot hold is left out. */
function nickOf(name: string): string {
  const line =
    opaqueString(name) ?? Array.from(name, (one) => opaqueString(one) ?? (/\s/.test(one) ? ' ' : '')).join('')
  let nick = ''
  for (const character of line.replaceAll(/\s+/g, ' ').trim()) {
    if (fromUtf8(nick + character).length > limits.xmppNickOctetsMax - markOctetsMax) break
    nick += character
  }
  const whole = opaqueString(nick.trim()) ?? ''
  return sameAs(whole).trim() === '' ? '' : whole
}

const markOctetsMax = 32 // what most marks take

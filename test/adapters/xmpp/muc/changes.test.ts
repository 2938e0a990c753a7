/** Whatever happens to a group's members, a client that follows presence ends with the members, under their nicks. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Client } from '../../../../src/adapters/xmpp/client.ts'
import { newClientState } from '../../../../src/adapters/xmpp/client.ts'
import { child, childrenNamed, type Element } from '../../../../src/adapters/xmpp/element.ts'
import { parseJid } from '../../../../src/adapters/xmpp/jid.ts'
import { Attendance, type Scene, type Seat, showChanges } from '../../../../src/adapters/xmpp/xep/muc/attendance.ts'
import { mucUser } from '../../../../src/adapters/xmpp/xep/muc/namespaces.ts'
import { freeNick, nicksOf } from '../../../../src/adapters/xmpp/xep/muc/nicks.ts'
import type { Occupant } from '../../../../src/adapters/xmpp/xep/muc/rooms.ts'
import { fromUtf8 } from '../../../../src/core/bytes.ts'
import type { GroupId, Identity } from '../../../../src/core/ids.ts'
import { limits } from '../../../../src/core/limits.ts'

const identityOf = (digit: number): Identity => String(digit).repeat(64) as Identity
const room = parseJid('choir@groups.localhost')!
const policy = { post: 'members', add: 'admins', sharesHistory: false, readReceipts: true } as const

/** Who is in the group, in order of seniority, each with a name and whether it is an admin. */
const members = fc
  .uniqueArray(
    fc.record({
      digit: fc.integer({ min: 1, max: 6 }),
      name: fc.constantFrom('Ann', 'ann', 'Bob', '', 'Ann (2222)'),
      isAdmin: fc.boolean(),
    }),
    { selector: ({ digit }) => digit, maxLength: 6 },
  )
  .map((others) => [{ digit: 0, name: 'Me', isAdmin: true }, ...others])

function sceneOf(
  people: readonly { readonly digit: number; readonly name: string; readonly isAdmin: boolean }[],
): Scene {
  const nicks = nicksOf(people.map(({ digit, name }) => ({ identity: identityOf(digit), name })))
  const occupants = people.map(({ digit, isAdmin }): [Identity, Occupant] => {
    const identity = identityOf(digit)
    return [
      identity,
      {
        identity,
        nick: nicks.get(identity)!,
        affiliation: isAdmin ? 'owner' : 'member',
        role: isAdmin ? 'moderator' : 'participant',
        jid: `${digit}@example.org`,
        id: String(digit),
      },
    ]
  })
  return { occupants: new Map(occupants), name: 'choir', policy, heads: [] }
}

/** What a program knows: by nick, as it does not look at more. */
class Onlooker {
  readonly seen = new Map<string, string>()

  take({ attrs, ...presence }: Element): void {
    const nick = parseJid(attrs.from!)!.resource
    const x = child({ attrs, ...presence }, `x ${mucUser}`)!
    const item = child(x, `item ${mucUser}`)!
    const codes = childrenNamed(x, `status ${mucUser}`).map((one) => one.attrs.code)
    if (attrs.type !== 'unavailable') {
      this.seen.set(nick, `${item.attrs.affiliation} ${item.attrs.jid}`)
      return
    }
    const known = this.seen.get(nick)
    if (known === undefined) throw new Error(`${nick} went and was not there`)
    this.seen.delete(nick)
    if (!codes.includes('303')) return
    if (this.seen.has(item.attrs.nick!)) throw new Error(`${nick} took the nick of another`)
    this.seen.set(item.attrs.nick!, known)
  }
}

test('what a client sees of who is in the room is who is in the group, after any changes of members, rights and names', () => {
  fc.assert(
    fc.property(fc.array(members, { minLength: 2, maxLength: 8 }), (history) => {
      const onlooker = new Onlooker()
      const client: Client = {
        account: identityOf(0),
        login: { account: identityOf(0), passwordId: 'test' },
        jid: parseJid('0@example.org/desk')!,
        state: newClientState(),
        send: (stanza) => onlooker.take(stanza),
        close: () => {},
      }
      const empty: Scene = { occupants: new Map(), name: 'choir', policy, heads: [] }
      const seat: Seat = { client, group: 'a'.repeat(64) as GroupId, room, asked: 'Me', sinceNumber: 0, scene: empty }
      for (const people of history) {
        const now = sceneOf(people)
        showChanges(new Attendance(), seat, now, () => 'removed')
        const expected = [...now.occupants.values()].map(({ nick, affiliation, identity, jid }): [string, string] => [
          nick,
          `${affiliation} ${identity === client.account ? '0@example.org/desk' : jid}`,
        ])
        expect(onlooker.seen).toEqual(new Map(expected))
      }
    }),
  )
})

test('nobody has the nick of another, whatever they call themselves, and who was first keeps the name', () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.constantFrom(
      'Ann',
      'ANN',
      'Ａnn',
      'Ann (1111)',
      'Ann (11111111)',
      'An\u200dn',
      '\u200d',
      ' ',
      '\u0000',
      '\u202e',
    ),
  )
  fc.assert(
    fc.property(fc.array(name, { maxLength: 10 }), (names) => {
      const people = names.map((one, digit) => ({ identity: identityOf(digit), name: one }))
      const nicks = nicksOf(people)
      const given = [...nicks.values()]
      expect(
        new Set(
          given.map((nick) =>
            nick
              .replaceAll(/[\u200c\u200d]/g, '')
              .normalize('NFKC')
              .toLowerCase(),
          ),
        ).size,
      ).toBe(names.length)
      for (const nick of given) {
        expect(fromUtf8(nick).length).toBeLessThanOrEqual(limits.xmppNickOctetsMax)
        expect(parseJid(`choir@groups.localhost/${nick}`)?.resource).toBe(nick)
      }
      // who comes later changes nobody's nick
      const earlier = nicksOf(people.slice(0, -1))
      for (const [identity, nick] of earlier) expect(nicks.get(identity)).toBe(nick)
    }),
  )
  expect(freeNick('Ann', identityOf(1), (nick) => nick === 'Ann')).toBe('Ann (1111)')
})

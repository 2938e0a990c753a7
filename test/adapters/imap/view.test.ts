/** A session's view through random changes by itself and by others: a client that believes every word ends up with the truth. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { View } from '../../../src/adapters/imap/view.ts'
import type { MailboxId, Uid } from '../../../src/core/ids.ts'
import { addAccounts, alice, deliver, type Home, temporaryHouse } from '../../core/mailbox/support.ts'

const places = fc.uniqueArray(fc.nat({ max: 12 }), { minLength: 1, maxLength: 6 })
const step = fc.oneof(
  fc.record({ do: fc.constant('arrive' as const), count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    do: fc.constant('flag' as const),
    places,
    flag: fc.constantFrom('\\Seen', '\\Flagged'),
    isOwn: fc.boolean(),
  }),
  fc.record({ do: fc.constant('expunge' as const), places }),
  fc.record({ do: fc.constant('tell' as const), allowExpunge: fc.boolean() }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** What a client knows: UIDs by sequence number, and flags by UID. */
class Believer {
  readonly #home: Home
  readonly #id: MailboxId
  readonly view: View
  readonly uids: number[]
  readonly flags = new Map<number, string>()

  constructor(home: Home) {
    this.#home = home
    this.#id = home.mailboxes.byName(alice, 'INBOX')!.id
    this.view = new View(home.mailboxes, alice, this.#id, { isReadOnly: false, onChange: () => {} })
    this.uids = [...this.view.uids()]
    for (const uid of this.uids) this.read(uid)
  }

  read(uid: number): void {
    const columns = this.view.columns()
    const index = columns.indexOf(uid as Uid)
    if (index >= 0) this.flags.set(uid, columns.flagsOf(columns.flagSetAt(index)).join(' '))
  }

  hear(allowExpunge: boolean): void {
    const { expunged, exists, flags } = this.view.takeUpdates(allowExpunge)
    for (const { seq, uid } of expunged) expect(this.uids.splice(seq - 1, 1)).toEqual([uid])
    for (let seq = this.uids.length + 1; seq <= (exists ?? 0); seq += 1) {
      this.uids.push(this.view.uidOf(seq))
      this.read(this.view.uidOf(seq))
    }
    for (const uid of flags) {
      expect(this.uids).toContain(uid)
      this.read(uid)
    }
    this.check()
  }

  check(): void {
    expect([...this.view.uids()]).toEqual(this.uids)
    for (const [index, uid] of this.uids.entries()) expect(this.view.seqOf(uid)).toBe(index + 1)
    const { mailboxes } = this.#home
    const columns = mailboxes.columns(alice, this.#id)
    const firstUnseen = [...columns.uids()].findIndex(
      (_, index) => !columns.flagsOf(columns.flagSetAt(index)).includes('\\Seen'),
    )
    expect(columns.firstUnseen()).toBe(firstUnseen)
    expect(columns.count).toBe(mailboxes.byId(alice, this.#id)!.messages)
  }

  async act(taken: Step): Promise<void> {
    const { mailboxes, store } = this.#home
    const uids = (at: readonly number[]): Uid[] => at.flatMap((place) => (this.uids[place] as Uid | undefined) ?? [])
    switch (taken.do) {
      case 'arrive':
        for (let count = 0; count < taken.count; count += 1) await deliver(this.#home, 'text')
        return
      case 'flag': {
        const change = { mode: 'add' as const, flags: [taken.flag] }
        if (taken.isOwn) this.hear(false)
        const { changed, modSeq } = await mailboxes.setFlags(alice, this.#id, uids(taken.places), change)
        if (!taken.isOwn || modSeq === undefined) return
        this.view.isOwn(modSeq)
        for (const uid of changed) this.read(uid)
        return
      }
      case 'expunge':
        await store.write((tx) => mailboxes.discard(tx, alice, this.#id, uids(taken.places)))
        return
      case 'tell':
        this.hear(taken.allowExpunge)
    }
  }
}

test('a client that follows what it is told knows every message, number and flag', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      const client = new Believer(home)
      for (const taken of steps) await client.act(taken)
      client.hear(true)
      const columns = client.view.columns()
      expect(client.uids).toEqual([...columns.uids()])
      for (const [index, uid] of client.uids.entries())
        expect(client.flags.get(uid)).toBe(columns.flagsOf(columns.flagSetAt(index)).join(' '))
      client.view.close()
    }),
    { numRuns: 30 },
  )
})

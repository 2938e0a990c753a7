/** Random sequences of commands against mailboxes and against a plain model, with restarts in between. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ContentId, MailboxId, ModSeq, Uid } from '../../../src/core/ids.ts'
import type { Change, FlagChange } from '../../../src/core/mailbox/mailbox.ts'
import { addAccounts, alice, type Home, temporaryHouse } from './support.ts'

interface Message {
  readonly uid: number
  readonly text: string
  flags: ReadonlySet<string>
  modSeq: number
}
interface Box {
  readonly name: string
  messages: Message[]
  uidNext: number
  /** Every UID ever expunged, with the modseq before which it was still there. */
  readonly gone: { readonly uid: number; readonly before: number }[]
}

const names = ['INBOX', 'Archive', 'Trash'] as const
const box = fc.constantFrom(...names)
const flag = fc.constantFrom('\\Seen', '\\Deleted', '\\Flagged', 'Work', '$Label')
const flags = fc.uniqueArray(flag, { maxLength: 3 })
const uids = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 6 })
const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('append' as const), box, flags, count: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('flags' as const),
      box,
      uids,
      flags,
      mode: fc.constantFrom('add' as const, 'remove' as const, 'replace' as const),
      guarded: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('copy' as const), box, to: box, uids }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), box, to: box, uids }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('expunge' as const), box, uids: fc.option(uids, { nil: undefined }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('discard' as const), box, uids }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), box, uids }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
)
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

const asUids = (list: readonly number[]): readonly Uid[] => list as readonly Uid[]

class World {
  readonly boxes = new Map<string, Box>(names.map((name) => [name, { name, messages: [], uidNext: 1, gone: [] }]))
  readonly changes: Change[] = []
  #texts = 0

  home: Home

  constructor(home: Home) {
    this.home = home
    this.listen()
  }
  listen(): void {
    this.home.mailboxes.watch(alice, (change) => this.changes.push(change))
  }
  id(name: string): MailboxId {
    return this.home.mailboxes.byName(alice, name)!.id
  }
  modSeq(name: string): number {
    return this.home.mailboxes.byName(alice, name)!.highestModSeq
  }
  nextText(): string {
    this.#texts += 1
    return `text ${this.#texts}`
  }
}

const add = (target: Box, text: string, flags: Iterable<string>): number => {
  const uid = target.uidNext
  target.uidNext += 1
  target.messages.push({ uid, text, flags: new Set(flags), modSeq: -1 })
  return uid
}

function take(source: Box, gone: readonly number[], before: number): void {
  for (const uid of gone) source.gone.push({ uid, before })
  source.messages = source.messages.filter(({ uid }) => !gone.includes(uid))
}

const changedFlags = (before: ReadonlySet<string>, { mode, flags }: FlagChange): ReadonlySet<string> => {
  if (mode === 'replace') return new Set(flags)
  return mode === 'add' ? before.union(new Set(flags)) : before.difference(new Set(flags))
}

async function run(world: World, step: Command): Promise<void> {
  const { mailboxes, store } = world.home
  if (step.do === 'reopen') return
  const source = world.boxes.get(step.box)!
  const id = world.id(step.box)
  const before = world.modSeq(step.box)
  const present = (list: readonly number[]): Message[] => source.messages.filter(({ uid }) => list.includes(uid))
  switch (step.do) {
    case 'append': {
      const texts = Array.from({ length: step.count }, () => world.nextText())
      const given = await store.write((tx) =>
        texts.flatMap((text) => {
          const stored = mailboxes.storeInline(tx, alice, Buffer.from(text))
          return mailboxes.append(tx, alice, id, [{ ...stored, flags: step.flags, internalDateMs: -5 }])
        }),
      )
      expect(given).toEqual(texts.map((text) => add(source, text, step.flags)))
      return
    }
    case 'flags': {
      const wanted = present(step.uids)
      const unchangedSince = step.guarded ? Math.max(0, ...wanted.map(({ modSeq }) => modSeq)) - 1 : Infinity
      const result = await mailboxes.setFlags(
        alice,
        id,
        asUids(step.uids),
        step,
        step.guarded ? { unchangedSince: unchangedSince as ModSeq } : {},
      )
      const failed = wanted.filter(({ modSeq }) => modSeq > unchangedSince)
      const tried = wanted.filter(({ modSeq }) => modSeq <= unchangedSince)
      const changed = tried.filter(({ flags }) => changedFlags(flags, step).symmetricDifference(flags).size > 0)
      expect(result).toMatchObject({ changed: changed.map(({ uid }) => uid), failed: failed.map(({ uid }) => uid) })
      for (const message of changed) Object.assign(message, { flags: changedFlags(message.flags, step), modSeq: -1 })
      return
    }
    case 'copy':
    case 'move': {
      const target = world.boxes.get(step.to)!
      const moved = present(step.uids)
      const pairs = await mailboxes[step.do](alice, id, asUids(step.uids), world.id(step.to))
      expect(pairs).toEqual(moved.map(({ uid, text, flags }) => ({ from: uid, to: add(target, text, flags) })))
      if (step.do === 'move')
        take(
          source,
          moved.map(({ uid }) => uid),
          before,
        )
      return
    }
    case 'expunge': {
      const deleted = source.messages.filter(({ flags }) => flags.has('\\Deleted')).map(({ uid }) => uid)
      const gone = step.uids === undefined ? deleted : deleted.filter((uid) => step.uids!.includes(uid))
      expect(await mailboxes.expunge(alice, id, step.uids && asUids(step.uids))).toEqual(gone)
      take(source, gone, before)
      return
    }
    case 'discard':
      await store.write((tx) => mailboxes.discard(tx, alice, id, asUids(step.uids)))
      take(
        source,
        present(step.uids).map(({ uid }) => uid),
        before,
      )
      return
    case 'fail': {
      const failing = store.write((tx) => {
        const stored = mailboxes.storeInline(tx, alice, Buffer.from('never'))
        mailboxes.append(tx, alice, id, [{ ...stored, flags: ['Never'], internalDateMs: 0 }])
        mailboxes.discard(tx, alice, id, asUids(step.uids))
        throw new RangeError('no')
      })
      await expect(failing).rejects.toThrow(RangeError)
    }
  }
}

/** Everything that can be asked is what the model says. */
function check(world: World): void {
  const { mailboxes } = world.home
  for (const { name, messages, uidNext, gone } of world.boxes.values()) {
    const info = mailboxes.byName(alice, name)!
    const size = messages.reduce((sum, { text }) => sum + text.length, 0)
    const unseen = messages.filter(({ flags }) => !flags.has('\\Seen')).length
    const deleted = messages.filter(({ flags }) => flags.has('\\Deleted')).length
    expect(info).toMatchObject({ messages: messages.length, uidNext, size, unseen, deleted })
    const columns = mailboxes.columns(alice, info.id)
    expect(columns.count).toBe(messages.length)
    for (const [index, message] of messages.entries()) {
      expect(columns.uidAt(index)).toBe(message.uid)
      expect(columns.indexOf(message.uid as Uid)).toBe(index)
      expect(new Set(columns.flagsOf(columns.flagSetAt(index)))).toEqual(message.flags)
      const content: ContentId = columns.contentAt(index)
      expect(Buffer.from(mailboxes.readInline(alice, content)!).toString()).toBe(message.text)
      const modSeq = columns.modSeqAt(index)
      expect(modSeq).toBeLessThanOrEqual(info.highestModSeq)
      // What changed has the newest modseq of the mailbox; what did not kept its own.
      if (message.modSeq === -1) expect(modSeq).toBe(info.highestModSeq)
      else expect(modSeq).toBe(message.modSeq)
      message.modSeq = modSeq
    }
    for (const since of new Set(gone.map(({ before }) => before))) {
      const expected = gone.filter(({ before }) => before >= since).map(({ uid }) => uid)
      expect(mailboxes.expungedSince(alice, info.id, since as ModSeq)).toEqual(expected.sort((a, b) => a - b))
    }
  }
  const used = [...world.boxes.values()]
    .flatMap(({ messages }) => messages)
    .reduce((sum, { text }) => sum + text.length, 0)
  expect(mailboxes.usedBytes(alice)).toBe(used)
}

test('mailboxes do what a plain model does, through restarts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 25 }), async (commands) => {
      using house = temporaryHouse()
      const world = new World(await house.open())
      try {
        await addAccounts(world.home, house)
        const first = world.changes.at(-1)?.seq ?? world.home.mailboxes.changesSince(alice, 0, 1000).length
        for (const step of commands) {
          if (step.do === 'reopen') {
            await world.home[Symbol.asyncDispose]()
            world.home = await house.open()
            world.listen()
          } else await run(world, step)
          check(world)
        }
        // The durable feed is what was pushed, without gaps.
        const durable = world.home.mailboxes.changesSince(alice, first, 10_000)
        expect(durable).toEqual(world.changes.filter(({ seq }) => seq > first))
        expect(durable.map(({ seq }) => seq)).toEqual(durable.map((_, index) => first + 1 + index))
      } finally {
        await world.home[Symbol.asyncDispose]()
      }
    }),
    { numRuns: 60 },
  )
})

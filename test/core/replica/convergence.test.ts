/**
 * Real mailboxes of two or three devices, changed at random and compared at random times: whatever the order, they end
 * alike, and no message is gone that nobody expunged.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Ambient, silentLog, systemRandom } from '../../../src/core/ambient.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { DeviceId, Identity, MailboxId, Uid } from '../../../src/core/ids.ts'
import { createAccountMailboxes } from '../../../src/core/mailbox/first-mailboxes.ts'
import type { Mailboxes } from '../../../src/core/mailbox/mailbox.ts'
import { openMailboxes } from '../../../src/core/mailbox/mailboxes.ts'
import { Copies } from '../../../src/core/replica/copies.ts'
import { Folders } from '../../../src/core/replica/folders.ts'
import { Replicas, type Replicated } from '../../../src/core/replica/replicas.ts'
import { openBlobs } from '../../../src/core/store/blobs.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { openMemoryStore } from '../../support/memory-store.ts'

const account = 'a1'.repeat(32) as Identity

interface Device {
  readonly id: DeviceId
  readonly store: Store
  readonly mailboxes: Mailboxes
  readonly folders: Folders
  readonly copies: Copies
}

async function openDevice(scope: AsyncDisposableStack, letter: string, nowMs: () => number): Promise<Device> {
  const id = letter.repeat(64) as DeviceId
  const ambient: Ambient = { clock: { nowMs, monotonicMs: nowMs }, random: systemRandom, log: silentLog }
  const root = mkdtempSync(join(tmpdir(), 'mycelium-converge-'))
  scope.defer(() => rmSync(root, { recursive: true, force: true }))
  const store = scope.use(openMemoryStore())
  const blobs = scope.use(await openBlobs({ path: root, store }, ambient))
  const mailboxes = scope.use(await openMailboxes(store, blobs, { indexes: false }, ambient))
  const replicas = new Replicas({ store, clock: ambient.clock, deviceOf: () => id })
  const folders = new Folders({ mailboxes, replicas, nowMs })
  const copies = new Copies({ mailboxes, folders, replicas, random: systemRandom, nowMs })
  mailboxes.follow(copies)
  await store.write((tx) => {
    createAccountMailboxes(tx, account, ambient)
    replicas.follow(tx, account)
    folders.compare(tx, account, mailboxes.writer(tx, account).list(), { isFresh: true })
  })
  return { id, store, mailboxes, folders, copies }
}

function statesOf({ store }: Device, kind: Replicated): readonly Uint8Array[] {
  return store.read((tx) => kind.items(tx, account, undefined).items.map(({ id }) => kind.state(tx, account, id)!))
}

/** What a comparison brings: states of folders, then of copies, then the contents that are lacking. */
async function pull(to: Device, from: Device): Promise<void> {
  const source = { account, device: from.id }
  const folderStates = statesOf(from, from.folders)
  await to.store.write((tx) => to.folders.merge(tx, source, folderStates))
  const copyStates = statesOf(from, from.copies)
  await to.store.write((tx) => to.copies.merge(tx, source, copyStates))
  const lacking = to.store.read((tx) => to.copies.items(tx, account, undefined).items.filter((item) => item.isLacking))
  for (const { id } of lacking) {
    const place = from.store.read((tx) => from.copies.placeOf(tx, account, id))
    if (place === undefined) continue
    const columns = from.mailboxes.columns(account, place.mailbox)
    const bytes = from.mailboxes.readInline(account, columns.contentAt(columns.indexOf(place.uid)))!
    await to.store.write((tx) => {
      const stored = to.mailboxes.storeInline(tx, account, bytes)
      to.copies.place(tx, source, id, { stored, internalDateMs: 0 })
    })
  }
}

interface Message {
  readonly mailbox: MailboxId
  readonly uid: Uid
  readonly text: string
  readonly flags: string
}
const messagesOf = ({ mailboxes }: Device): readonly Message[] =>
  mailboxes.list(account).flatMap(({ id }) => {
    const columns = mailboxes.columns(account, id)
    return Array.from({ length: columns.count }, (_, index) => ({
      mailbox: id,
      uid: columns.uidAt(index),
      text: Buffer.from(mailboxes.readInline(account, columns.contentAt(index))!).toString(),
      // a mailbox spells a keyword as it was spelt there first
      flags: columns.flagsOf(columns.flagSetAt(index)).join(' ').toLowerCase().split(' ').toSorted().join(' '),
    }))
  })
const viewOf = (device: Device): readonly string[] =>
  [
    ...device.mailboxes.list(account).map(({ name, subscribed }) => `${name} ${subscribed}`),
    ...messagesOf(device).map(
      ({ mailbox, text, flags }) => `${device.mailboxes.byId(account, mailbox)!.name}: ${text} [${flags}]`,
    ),
  ].toSorted()

type Step =
  | { readonly do: 'append' | 'expunge' | 'move'; readonly at: number; readonly pick: number; readonly to: number }
  | { readonly do: 'flag'; readonly at: number; readonly pick: number; readonly flag: string; readonly on: boolean }
  | {
      readonly do: 'create' | 'rename' | 'remove' | 'subscribe'
      readonly at: number
      readonly pick: number
      readonly name: string
    }
  | { readonly do: 'pull'; readonly at: number; readonly to: number }
  | { readonly do: 'pass'; readonly ms: number }

const small = fc.nat({ max: 2 })
const pick = fc.nat({ max: 1000 })
const folderName = fc.constantFrom('A', 'B', 'A/C', 'Archive', 'D')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('append' as const), at: small, pick, to: pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expunge' as const), at: small, pick, to: pick }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('move' as const), at: small, pick, to: pick }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('flag' as const),
      at: small,
      pick,
      flag: fc.constantFrom('\\Seen', '\\Flagged', 'Work', 'WORK'),
      on: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('create' as const, 'rename' as const, 'remove' as const, 'subscribe' as const),
      at: small,
      pick,
      name: folderName,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pull' as const), at: small, to: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: -5000, max: 5000 }) }) },
)

const chosen = <T>(from: readonly T[], at: number): T | undefined => from[at % Math.max(1, from.length)]

test('devices that were changed at random end alike, and nothing is gone that nobody expunged', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 45 }), async (steps) => {
      await using scope = new AsyncDisposableStack()
      let nowMs = Date.UTC(2026, 10, 1)
      const devices = await Promise.all(['a', 'b', 'c'].map((letter) => openDevice(scope, letter, () => nowMs)))
      const kept = new Map<string, number>()
      let number = 0
      for (const one of steps) {
        if (one.do === 'pass') {
          nowMs += one.ms
          continue
        }
        const device = devices[one.at]!
        if (one.do === 'pull') {
          if (one.to !== one.at) await pull(devices[one.to]!, device)
          continue
        }
        try {
          await perform(device, one, {
            appended: () => {
              number += 1
              return `message ${number}`
            },
            kept,
          })
        } catch (error) {
          // a name that is taken, or a folder that is not there
          if (!(error instanceof MyceliumError)) throw error
        }
      }
      // whoever asks in turn knows everything after three rounds: what one round repairs, the next one tells
      for (let round = 0; round < 4; round += 1)
        for (const to of devices) for (const from of devices) if (to !== from) await pull(to, from)
      const [first, ...others] = devices.map(viewOf)
      for (const other of others) expect(other).toEqual(first)
      const texts = messagesOf(devices[0]!).map(({ text }) => text)
      for (const text of kept.keys()) expect(texts).toContain(text)
      expect(new Set(texts).size).toBe(texts.length)
    }),
    { numRuns: 60 },
  )
}, 120_000)

async function perform(
  device: Device,
  one: Exclude<Step, { readonly do: 'pull' | 'pass' }>,
  { appended, kept }: { readonly appended: () => string; readonly kept: Map<string, number> },
): Promise<void> {
  const { store, mailboxes } = device
  const boxes = mailboxes.list(account)
  const message = chosen(messagesOf(device), one.pick)
  if (one.do === 'append') {
    const text = appended()
    await store.write((tx) => {
      const item = { ...mailboxes.storeInline(tx, account, Buffer.from(text)), flags: [], internalDateMs: 0 }
      mailboxes.append(tx, account, chosen(boxes, one.to)!.id, [item])
    })
    kept.set(text, 1)
  } else if (one.do === 'create') await mailboxes.create(account, one.name)
  else if (one.do === 'subscribe') await mailboxes.subscribe(account, chosen(boxes, one.pick)!.name, one.pick % 2 === 0)
  else if (one.do === 'rename') {
    const from = chosen(boxes, one.pick)!.name
    if (from !== 'INBOX') await mailboxes.rename(account, from, one.name)
  } else if (one.do === 'remove') {
    const box = chosen(boxes, one.pick)!
    const inside = messagesOf(device).filter(({ mailbox }) => mailbox === box.id)
    await mailboxes.remove(account, box.name)
    for (const { text } of inside) kept.delete(text)
  } else if (message === undefined) return
  else if (one.do === 'flag') {
    const change = { mode: one.on ? 'add' : 'remove', flags: [one.flag] } as const
    await mailboxes.setFlags(account, message.mailbox, [message.uid], change)
  } else if (one.do === 'move') {
    const to = chosen(boxes, one.to)!.id
    if (to !== message.mailbox) await mailboxes.move(account, message.mailbox, [message.uid], to)
  } else if (one.do === 'expunge') {
    await store.write((tx) => mailboxes.discard(tx, account, message.mailbox, [message.uid]))
    kept.delete(message.text)
  }
}

/** The store and the mailbox index on this machine's disk: durable writes, reads, growth, and what one delivered message costs. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ambient, silentLog, systemClock, systemRandom } from '../src/core/ambient.ts'
import { Secret } from '../src/core/crypto/secret.ts'
import type { Identity } from '../src/core/ids.ts'
import { createAccountMailboxes } from '../src/core/mailbox/first-mailboxes.ts'
import { openMailboxes } from '../src/core/mailbox/mailboxes.ts'
import { openBlobs } from '../src/core/store/blobs.ts'
import { openStore } from '../src/core/store/lmdb-store.ts'
import type { Store } from '../src/core/store/store.ts'
import { tables } from '../src/core/store/tables.ts'
import { usedBytes } from '../src/core/store/tree-file.ts'
import type { Bench } from '../scripts/bench.ts'

const valueBytes = 2048
const writers = 64
const account = 'ab'.repeat(32) as Identity
const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }

export const bench: Bench = async ({ quick, say }) => {
  const root = mkdtempSync(join(tmpdir(), 'mycelium-bench-'))
  try {
    const key = new Secret(new Uint8Array(32).fill(5))
    await using store = await openStore({ path: join(root, 'store'), key }, ambient)
    const rows = quick ? 20_000 : 100_000
    say(`${rows} rows of ${valueBytes} bytes, ${writers} writers`)
    const keys = Array.from({ length: rows }, () => ambient.random.bytes(32))
    const putPerS = await putDurable(store, keys)
    const growth = usedBytes(join(root, 'store')) / (rows * valueBytes)
    const getPerS = getRandom(store, keys)
    say('storeInline + append, 64 messages in each transaction')
    const appendUs = await appendBatch(store, root, quick ? 20_000 : 100_000)
    return [
      { name: 'put_durable', unit: 'ops/s', value: Math.round(putPerS) },
      { name: 'get', unit: 'ops/s', value: Math.round(getPerS) },
      { name: 'growth', unit: 'ratio', value: round(growth) },
      { name: 'append_batch', unit: 'us', value: round(appendUs.wall) },
      { name: 'append_batch_cpu', unit: 'us', value: round(appendUs.cpu) },
    ]
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const round = (value: number): number => Math.round(value * 100) / 100

async function putDurable(store: Store, keys: readonly Uint8Array[]): Promise<number> {
  const value = ambient.random.bytes(valueBytes)
  let next = 0
  const writer = async (): Promise<void> => {
    while (next < keys.length) {
      const key = keys[next]!
      next += 1
      await store.write((tx) => tx.put(tables.messages, key, value))
    }
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: writers }, writer))
  return (keys.length / (performance.now() - start)) * 1000
}

function getRandom(store: Store, keys: readonly Uint8Array[]): number {
  const order = keys.toSorted(() => Math.random() - 0.5)
  const start = performance.now()
  for (const key of order) {
    const value = store.read((tx) => tx.get(tables.messages, key))
    if (value?.length !== valueBytes) throw new Error('row missing')
  }
  return (keys.length / (performance.now() - start)) * 1000
}

/** Microseconds per message, wall and CPU of the whole process. */
async function appendBatch(store: Store, root: string, messages: number): Promise<{ wall: number; cpu: number }> {
  await using blobs = await openBlobs({ path: join(root, 'blobs'), store }, ambient)
  await using mailboxes = await openMailboxes(store, blobs, {}, ambient)
  await store.write((tx) => createAccountMailboxes(tx, account, ambient))
  const inbox = mailboxes.byName(account, 'INBOX')!.id
  mailboxes.columns(account, inbox)
  const bodies = Array.from({ length: messages }, () => ambient.random.bytes(512))
  const start = performance.now()
  const cpu = process.cpuUsage()
  for (let at = 0; at < messages; at += 64) {
    const batch = bodies.slice(at, at + 64)
    await store.write((tx) => {
      for (const body of batch) {
        const stored = mailboxes.storeInline(tx, account, body)
        mailboxes.append(tx, account, inbox, [{ ...stored, flags: [], internalDateMs: 0 }])
      }
    })
  }
  const { user, system } = process.cpuUsage(cpu)
  return { wall: ((performance.now() - start) * 1000) / messages, cpu: (user + system) / messages }
}

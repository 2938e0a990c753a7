import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { SharedWrite } from '../../../src/core/delivery/shared-write.ts'
import { limits } from '../../../src/core/limits.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { temporaryPlace } from './support.ts'

/** A store whose pauses end when the test says so. */
async function openHeldStore() {
  const place = temporaryPlace()
  let commits = 0
  let commitMs = 0
  const store = await place.open({
    onCommit: (tookMs) => {
      commits += 1
      commitMs = tookMs
    },
  })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(async () => {
    vi.useRealTimers()
    await store[Symbol.asyncDispose]()
    place[Symbol.dispose]()
  })
  let rows = 0
  return {
    store,
    commits: () => commits,
    /** Resolves when the row is durable. */
    write: (): Promise<void> => {
      rows += 1
      const key = fromUtf8(String(rows))
      return store.write((tx) => tx.put(tables.messages, key, key))
    },
    /** Several times as long as the last commit took. */
    idle: () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5 * commitMs + 1),
    endPause: () => vi.advanceTimersByTime(limits.storeSharedPauseMsMax),
  }
}

type HeldStore = Awaited<ReturnType<typeof openHeldStore>>

async function writeTogether({ write, endPause }: HeldStore, writers: number): Promise<void> {
  const written = Promise.all(Array.from({ length: writers }, write))
  await nextTurn()
  endPause()
  await written
}

async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await nextTurn()
}

test('while several are at work, writers of different turns share a commit', async () => {
  const store = await openHeldStore()
  await writeTogether(store, 20)
  const before = store.commits()

  const written = [store.write()]
  await someTurns()
  written.push(store.write())
  await someTurns()
  expect(store.commits()).toBe(before)

  store.endPause()
  await Promise.all(written)
  expect(store.commits()).toBe(before + 1)
})

test('once as many wait as came together before, nobody waits any longer', async () => {
  const store = await openHeldStore()
  await writeTogether(store, 20)
  const before = store.commits()

  const written = Array.from({ length: 19 }, store.write)
  await someTurns()
  expect(store.commits()).toBe(before)

  await Promise.all([...written, store.write()])
  expect(store.commits()).toBe(before + 1)
})

test('callers that share a transaction are counted one by one', async () => {
  const store = await openHeldStore()
  await writeTogether(store, 20)
  const before = store.commits()

  const shared = new SharedWrite(store.store)
  const key = fromUtf8('shared')
  const submit = (): Promise<void> => shared.run((tx) => tx.put(tables.messages, key, key))
  const written = Array.from({ length: 19 }, submit)
  await someTurns()
  expect(store.commits()).toBe(before)

  await Promise.all([...written, submit()])
  expect(store.commits()).toBe(before + 1)
})

test('one that writes alone waits for nobody, and no longer once the others have gone', async () => {
  const store = await openHeldStore()
  for (let row = 0; row < 10; row += 1) await store.write()

  await writeTogether(store, 20)
  for (let row = 0; row < 40; row += 1) await writeTogether(store, 1)
  for (let row = 0; row < 10; row += 1) await store.write()
})

test('several that leave the store idle for longer than it works wait for nobody', async () => {
  const store = await openHeldStore()
  for (let round = 0; round < 20; round += 1) {
    store.idle()
    await writeTogether(store, 6)
  }
  for (let round = 0; round < 10; round += 1) {
    store.idle()
    await Promise.all([store.write(), store.write()])
  }
})

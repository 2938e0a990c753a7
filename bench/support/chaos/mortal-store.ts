/**
 * A store whose process can die: what was committed stays, what waits for a commit never happens, and nobody hears of
 * it. LMDB commits in one synchronous call, so between two turns of the event loop every write is done or not begun,
 * as it is for a process that is killed.
 */
import { MyceliumError } from '../../../src/core/errors.ts'
import { openStore, type SnapshotStore, type StoreOptions } from '../../../src/core/store/lmdb-store.ts'
import type { Ambient } from '../../../src/core/ambient.ts'

export interface Life {
  isOver: boolean
}

export async function openMortalStore(life: Life, options: StoreOptions, ambient: Ambient): Promise<SnapshotStore> {
  const store = await openStore(options, ambient)
  const check = (): void => {
    if (life.isOver) throw new MyceliumError('shutting-down')
  }
  return {
    read(use) {
      check()
      return store.read(use)
    },
    async write(use, writeOptions) {
      check()
      return await store.write((tx) => {
        check()
        return use(tx)
      }, writeOptions)
    },
    joined: () => store.joined(),
    snapshot: () => store.snapshot(),
    [Symbol.asyncDispose]: async () => await store[Symbol.asyncDispose](),
  }
}

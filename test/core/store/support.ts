/** A store in a directory of its own, gone at the end of the scope. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { Secret } from '../../../src/core/crypto/secret.ts'
import { openStore, type StoreOptions } from '../../../src/core/store/lmdb-store.ts'
import type { Store } from '../../../src/core/store/store.ts'

export const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }
export const homeKey = (fill = 7): Secret => new Secret(new Uint8Array(32).fill(fill))

export interface Place extends Disposable {
  readonly path: string
  open(options?: Partial<StoreOptions>): Promise<Store>
}

export function temporaryPlace(): Place {
  const root = mkdtempSync(join(tmpdir(), 'mycelium-store-'))
  const path = join(root, 'store')
  return {
    path,
    open: (options = {}) => openStore({ path, key: homeKey(), ...options }, ambient),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  }
}

/** A store at a fresh place; closing it removes the place. */
export async function temporaryStore(): Promise<Store & { readonly path: string }> {
  const place = temporaryPlace()
  const store = await place.open()
  return {
    path: place.path,
    read: (use) => store.read(use),
    write: (use, options) => store.write(use, options),
    joined: () => store.joined(),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      place[Symbol.dispose]()
    },
  }
}

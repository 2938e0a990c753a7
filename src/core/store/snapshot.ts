/**
 * The store's rows as they are sealed, all of one moment. The read transaction lives as long as its reader wants, across
 * other work: the one exception to the rule that none does. Pages that are freed meanwhile are not used again, so the
 * file grows by what is written.
 */
import { mkdirSync } from 'node:fs'
import { open } from 'lmdb'
import { MyceliumError } from '../errors.ts'
import { guarded, type Tree } from './rows.ts'
import { prepareTreeFile, usedBytes } from './tree-file.ts'

export interface SealedRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface StoreSnapshot extends Disposable {
  /** About as many octets as all rows have. */
  readonly bytes: number
  /** Some rows at a time, in order; they are the caller's. */
  batches(): Iterable<readonly SealedRow[]>
}

const batchBytes = 256 * 1024

export const openTree = (directory: string): Tree =>
  guarded(() =>
    open<Uint8Array, Uint8Array>({
      path: directory,
      noSubdir: false,
      keyEncoding: 'binary',
      encoding: 'binary',
      overlappingSync: false,
    }),
  )

export function snapshotOf(tree: Tree, directory: string): StoreSnapshot {
  const transaction = guarded(() => tree.useReadTransaction())
  return {
    bytes: usedBytes(directory),
    *batches() {
      let batch: SealedRow[] = []
      let bytes = 0
      for (const { key, value } of tree.getRange({ transaction })) {
        batch.push({ key: Uint8Array.from(key), value: Uint8Array.from(value) })
        bytes += key.length + value.length
        if (bytes < batchBytes) continue
        yield batch
        batch = []
        bytes = 0
      }
      if (batch.length > 0) yield batch
    },
    [Symbol.dispose]: () => transaction.done(),
  }
}

/** Of a store that no process has open; its key is not needed. @throws `store-corrupt` */
export async function withStoppedSnapshot<T>(path: string, use: (snapshot: StoreSnapshot) => Promise<T>): Promise<T> {
  const { directory } = prepareTreeFile(path)
  const tree = openTree(directory)
  try {
    using snapshot = snapshotOf(tree, directory)
    return await use(snapshot)
  } finally {
    await tree.close()
  }
}

export interface StoreRestore extends AsyncDisposable {
  /** Durable when disposed of. @throws `disk-full` */
  put(rows: readonly SealedRow[]): void
}

/** Writes rows into a store that does not exist yet. */
export function restoreStore(path: string): StoreRestore {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const { directory } = prepareTreeFile(path)
  const tree = openTree(directory)
  return {
    put(rows) {
      try {
        tree.transactionSync(() => {
          for (const { key, value } of rows) tree.putSync(key, value)
        })
      } catch (cause) {
        throw new MyceliumError('disk-full', {}, { cause })
      }
    },
    [Symbol.asyncDispose]: async () => await tree.close(),
  }
}

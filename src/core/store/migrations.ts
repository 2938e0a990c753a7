/** Changes of the storage format, numbered and forward only. A store of a later version is refused, never guessed at. */
import { decode, encode, u32 } from '../codec.ts'
import { fromUtf8 } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { Store, WriteTx } from './store.ts'
import { tables } from './tables.ts'

export interface Migration {
  /** The version that this leads to: one more than the one before it. */
  readonly to: number
  readonly up: (tx: WriteTx) => void
}

/** The format of the first release. */
const firstVersion = 1
const migrations: readonly Migration[] = []

const versionKey = fromUtf8('schema')

/**
 * Brings the store to the newest version, one transaction for each step, so that a crash leaves a whole version.
 * @throws `store-corrupt` when the version is missing or later than this program knows
 */
export async function migrate(
  store: Store,
  {
    isNew,
    steps = migrations,
    beforeFirst,
  }: {
    readonly isNew: boolean
    readonly steps?: readonly Migration[]
    /** Runs before the first step changes anything, and may stop it by throwing. */
    readonly beforeFirst: (version: number) => void
  },
): Promise<void> {
  const newest = steps.at(-1)?.to ?? firstVersion
  const stored = store.read((tx) => tx.get(tables.meta, versionKey))
  if (stored === undefined) {
    if (!isNew) throw new MyceliumError('store-corrupt', { what: 'schema' })
    await store.write((tx) => tx.put(tables.meta, versionKey, encode(u32, newest)))
    return
  }
  const version = decode(u32, stored)
  if (version > newest) throw new MyceliumError('store-corrupt', { what: 'newer-version', version, newest })
  const due = steps.filter(({ to }) => to > version)
  if (due.length > 0) beforeFirst(version)
  for (const step of due) {
    await store.write((tx) => {
      step.up(tx)
      tx.put(tables.meta, versionKey, encode(u32, step.to))
    })
  }
}

/**
 * The LMDB environment as files: created for the owner only, and looked at before LMDB maps it, because a page that the
 * file no longer has would end the process with SIGBUS instead of an error.
 */
import { chmodSync, closeSync, fstatSync, ftruncateSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { MyceliumError } from '../errors.ts'
import { findDamagedPage } from './tree-check.ts'
import { readNewestMeta } from './tree-meta.ts'

const structureCheckMs = 150

export interface TreeFile {
  readonly directory: string
  readonly data: string
}

/** Creates what is missing with owner-only permissions. @throws `store-corrupt` when the file is not a store or was cut off */
export function prepareTreeFile(directory: string): TreeFile {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
  const data = join(directory, 'data.mdb')
  for (const path of [data, join(directory, 'lock.mdb')]) {
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
  }
  const file = openSync(data, 'r')
  try {
    const { size } = fstatSync(file)
    const neededBytes = size === 0 ? 0 : bytesInUse(file)
    if (neededBytes === undefined) throw new MyceliumError('store-corrupt', { what: 'header' })
    if (neededBytes > size) throw new MyceliumError('store-corrupt', { what: 'truncated', missing: neededBytes - size })
    const page = size === 0 ? undefined : findDamagedPage(file, structureCheckMs)
    if (page !== undefined) throw new MyceliumError('store-corrupt', { what: 'tree', page })
    return { directory, data }
  } finally {
    closeSync(file)
  }
}

/** Makes the file at least this long; added octets take no room until they are written. @returns its length */
export function extend(path: string, bytes: number): number {
  const file = openSync(path, 'r+')
  try {
    const { size } = fstatSync(file)
    if (size < bytes) ftruncateSync(file, bytes)
    return Math.max(size, bytes)
  } finally {
    closeSync(file)
  }
}

/** Octets of the pages that the store has taken from its file so far, free ones included. */
export function usedBytes(directory: string): number {
  const file = openSync(join(directory, 'data.mdb'), 'r')
  try {
    return bytesInUse(file) ?? 0
  } finally {
    closeSync(file)
  }
}

/** Up to the last page that the newest commit knows; `undefined` for what is no store. */
function bytesInUse(file: number): number | undefined {
  const meta = readNewestMeta(file)
  return meta === undefined ? undefined : (meta.lastPage + 1) * meta.pageBytes
}

/** LMDB's meta pages as read from the file (1.0 data format, 64-bit little-endian): 24 bytes of page header, then MDB_meta of mdb.c. */
import { readSync } from 'node:fs'

const metaAt = 24
const metaBytes = 144
const metaFlag = 0x08
const magic = 0xbeefc0de
const dataVersion = 2
const pageSizes: readonly number[] = [4096, 8192, 16_384, 32_768, 65_536]
/** Root page of an empty tree. */
const noPage = 0xffff_ffff_ffff_ffffn

export interface TreeMeta {
  readonly pageBytes: number
  readonly lastPage: number
  readonly txnId: bigint
  /** Root pages of the list of free pages and of the rows; an empty tree has none. */
  readonly roots: readonly number[]
}

/** The newer of the two meta pages; `undefined` unless both are whole, because LMDB crashes where one is not. */
export function readNewestMeta(file: number): TreeMeta | undefined {
  const first = readMeta(file, 0)
  const second = first === undefined ? undefined : readMeta(file, first.pageBytes)
  if (first === undefined || second?.pageBytes !== first.pageBytes) return undefined
  return second.txnId > first.txnId ? second : first
}

function readMeta(file: number, at: number): TreeMeta | undefined {
  const page = Buffer.alloc(metaAt + metaBytes)
  if (readSync(file, page, 0, page.length, at) < page.length) return undefined
  if (page.readUInt16LE(18) !== metaFlag) return undefined
  const meta = page.subarray(metaAt)
  if (meta.readUInt32LE(0) !== magic || meta.readUInt32LE(4) !== dataVersion) return undefined
  const pageBytes = meta.readUInt32LE(24)
  if (!pageSizes.includes(pageBytes)) return undefined
  const roots = [64, 112].map((offset) => meta.readBigUInt64LE(offset)).filter((root) => root !== noPage)
  return {
    pageBytes,
    lastPage: Number(meta.readBigUInt64LE(120)),
    txnId: meta.readBigUInt64LE(128),
    roots: roots.map(Number),
  }
}

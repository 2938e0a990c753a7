/**
 * Looks at the structure of LMDB's pages before LMDB does: it trusts them, and ends the process where they are wrong.
 * Values are left alone, they authenticate themselves. From the roots down, until the time is used up: a store too
 * large for that is checked where damage does most.
 */
import { readSync } from 'node:fs'
import { readNewestMeta } from './tree-meta.ts'

const headerBytes = 24
const nodeHeaderBytes = 8
const branchFlag = 0x01
const leafFlag = 0x02
const overflowFlag = 0x04
const bigDataFlag = 0x01
const depthMax = 32

interface Walk {
  readonly file: number
  readonly pageBytes: number
  readonly lastPage: number
}

interface Visit {
  readonly page: number
  readonly depth: number
}

/** @returns the number of a page that cannot be right; `undefined` when none was found within `timeMs` */
export function findDamagedPage(file: number, timeMs: number): number | undefined {
  const meta = readNewestMeta(file)
  if (meta === undefined) return 0
  const walk = { file, pageBytes: meta.pageBytes, lastPage: meta.lastPage }
  const until = performance.now() + timeMs
  const seen = new Set<number>()
  const queue: Visit[] = meta.roots.map((page) => ({ page, depth: 0 }))
  for (let at = 0; at < queue.length && performance.now() < until; at += 1) {
    const visit = queue[at]!
    // Each page belongs to one place: a second path to it is damage too.
    if (seen.has(visit.page) || visit.depth > depthMax) return visit.page
    seen.add(visit.page)
    const children = childrenOf(walk, visit.page)
    if (children === undefined) return visit.page
    for (const page of children) queue.push({ page, depth: visit.depth + 1 })
  }
  return undefined
}

/** Pages below this one: none for a leaf, `undefined` when the page or a value's own page cannot be right. */
function childrenOf(walk: Walk, page: number): readonly number[] | undefined {
  const bytes = readPage(walk, page, walk.pageBytes)
  if (bytes === undefined) return undefined
  const flags = bytes.readUInt16LE(18)
  const lower = bytes.readUInt16LE(20)
  const upper = bytes.readUInt16LE(22)
  const room = walk.pageBytes - headerBytes
  if ((flags !== branchFlag && flags !== leafFlag) || lower > upper || upper > room || lower % 2 !== 0) return undefined
  const count = lower / 2
  if (count === 0 || (flags === branchFlag && count < 2)) return undefined
  const children: number[] = []
  for (let index = 0; index < count; index += 1) {
    const at = headerBytes + bytes.readUInt16LE(headerBytes + 2 * index)
    if (at < headerBytes + upper || at + nodeHeaderBytes > walk.pageBytes) return undefined
    const keyEnd = at + nodeHeaderBytes + bytes.readUInt16LE(at + 6)
    if (keyEnd > walk.pageBytes) return undefined
    if (flags === branchFlag) children.push(bytes.readUInt32LE(at) + bytes.readUInt16LE(at + 4) * 0x1_0000_0000)
    else if (!isLeafNode(walk, bytes, { at, keyEnd })) return undefined
  }
  return children
}

function isLeafNode(walk: Walk, bytes: Buffer, { at, keyEnd }: { at: number; keyEnd: number }): boolean {
  const valueBytes = bytes.readUInt32LE(at)
  const flags = bytes.readUInt16LE(at + 4)
  if (flags === 0) return keyEnd + valueBytes <= walk.pageBytes
  if (flags !== bigDataFlag || keyEnd + 24 > walk.pageBytes) return false
  const first = Number(bytes.readBigUInt64LE(keyEnd))
  const header = readPage(walk, first, headerBytes)
  if (header === undefined || header.readUInt16LE(18) !== overflowFlag) return false
  const pages = header.readUInt32LE(20)
  return first + pages - 1 <= walk.lastPage && headerBytes + valueBytes <= pages * walk.pageBytes
}

/** The beginning of a page that says it is the page it should be. */
function readPage({ file, pageBytes, lastPage }: Walk, page: number, length: number): Buffer | undefined {
  if (page < 2 || page > lastPage) return undefined
  const bytes = Buffer.alloc(length)
  if (readSync(file, bytes, 0, length, page * pageBytes) < length) return undefined
  return bytes.readBigUInt64LE(0) === BigInt(page) ? bytes : undefined
}

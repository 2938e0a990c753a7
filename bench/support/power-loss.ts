/**
 * Power loss without a switch: power-loss.c writes down what a process did not sync, and after its death a part of that
 * is put back here, page by page, as a disk that lost its power would have kept it.
 */
import { execFile } from 'node:child_process'
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Random } from './seeded.ts'

const pageBytes = 4096
const headBytes = 24
const kinds = { path: 1, old: 2, durable: 3, renamed: 4 } as const

interface Entry {
  readonly kind: number
  readonly offset: number
  /** Of the file before the change, octets. */
  readonly length: number
  readonly content: Buffer
}

/** Compiles the shim into `folder`. @throws an Error that says what is missing */
export async function buildShim(folder: string): Promise<string> {
  if (process.platform !== 'linux') throw new Error('the power loss shim works on Linux only')
  const source = fileURLToPath(new URL('power-loss.c', import.meta.url))
  const shim = join(folder, 'power-loss.so')
  try {
    await promisify(execFile)('cc', ['-O2', '-shared', '-fPIC', '-o', shim, source, '-ldl', '-lpthread'])
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new Error(
      isMissing
        ? 'a C compiler is needed for simulated power loss: install `cc`'
        : 'the power loss shim does not compile',
      { cause: error },
    )
  }
  return shim
}

export interface Disk {
  /** What is below this folder can be lost. */
  readonly home: string
  /** Outside of the home, on the same file system. */
  readonly journal: string
  /** While a file of this name exists, the disk says that it has written and has not. */
  readonly lies: string
}

/** What is below `folder`/`name` is on a disk of its own. */
export function makeDisk(folder: string, name: string): Disk {
  const disk = {
    home: join(folder, name),
    journal: join(folder, `${name}.journal`),
    lies: join(folder, `${name}.lies`),
  }
  mkdirSync(disk.home)
  mkdirSync(disk.journal)
  return disk
}

/** From now on syncing does nothing. */
export const startLying = ({ lies }: Disk): void => writeFileSync(lies, '')

/** Microseconds that a sync may take longer than on this machine. */
const syncUsMax = 2000

export const shimEnvironment = (shim: string, { home, journal, lies }: Disk): Record<string, string> => ({
  LD_PRELOAD: shim,
  POWER_LOSS_HOME: home,
  POWER_LOSS_JOURNAL: journal,
  POWER_LOSS_LIES: lies,
  POWER_LOSS_SYNC_US: String(syncUsMax),
})

const writingBytes = 16 * 1024
const writingWaitMs = 500

/** Waits, not for long, until much is written that is not yet synced: a moment at which power loss costs most. */
export async function whileWriting({ journal }: Disk): Promise<void> {
  const until = performance.now() + writingWaitMs
  while (performance.now() < until) {
    const sizes = undoFiles(journal).map((name) => statSync(join(journal, name), { throwIfNoEntry: false })?.size ?? 0)
    if (sizes.some((size) => size > writingBytes)) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** The process died but the machine did not: all of it will reach the disk, unless the power fails before it is synced. */
export function keepWrites({ journal }: Disk): void {
  for (const name of undoFiles(journal)) {
    const path = join(journal, name)
    const { wholeBytes, entries } = readEntries(path)
    truncateSync(path, wholeBytes)
    if (name !== namesFile && fileOf(name, entries) === undefined) rmSync(path)
  }
}

/**
 * The machine died with the process: of what was not synced, each page is lost with probability `share`.
 * @returns how many pages, lengths and names were put back
 */
export function losePower({ journal }: Disk, share: number, random: Random): number {
  let lost = 0
  for (const name of undoFiles(journal)) {
    if (name === namesFile) continue
    const { entries } = readEntries(join(journal, name))
    const path = fileOf(name, entries)
    if (path !== undefined) lost += putBack(path, entries, () => random() < share)
  }
  if (existsSync(join(journal, namesFile)))
    lost += undoRenames(readEntries(join(journal, namesFile)).entries, share, random)
  for (const name of readdirSync(journal)) rmSync(join(journal, name))
  return lost
}

const namesFile = 'names.undo'
const undoFiles = (journal: string): string[] => readdirSync(journal).filter((name) => name.endsWith('.undo'))

/** A kill may have cut the last record off: then what it describes did not happen. */
function readEntries(path: string): { readonly entries: readonly Entry[]; readonly wholeBytes: number } {
  const bytes = readFileSync(path)
  const entries: Entry[] = []
  let at = 0
  while (at + headBytes <= bytes.length) {
    const end = at + headBytes + bytes.readUInt32LE(at + 4)
    if (end > bytes.length) break
    entries.push({
      kind: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      length: Number(bytes.readBigUInt64LE(at + 16)),
      content: bytes.subarray(at + headBytes, end),
    })
    at = end
  }
  return { entries, wholeBytes: at }
}

/** Where the file of a journal is now; `undefined` when it is gone. */
function fileOf(name: string, entries: readonly Entry[]): string | undefined {
  const inode = Number(basename(name, '.undo'))
  const isIt = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.ino === inode
  for (const { kind, content } of entries) {
    if (kind === kinds.path && isIt(content.toString())) return content.toString()
    // written under another name
    const folder = dirname(content.toString())
    const moved =
      kind === kinds.path && existsSync(folder)
        ? readdirSync(folder).find((other) => isIt(join(folder, other)))
        : undefined
    if (moved !== undefined) return join(folder, moved)
  }
  return undefined
}

function putBack(path: string, entries: readonly Entry[], isLost: () => boolean): number {
  const changes = entries.filter(({ kind }) => kind !== kinds.path)
  if (changes.length === 0) return 0
  const { pages, length } = durableState(changes)
  const file = openSync(path, 'r+')
  try {
    let lost = 0
    let size = fstatSync(file).size
    if (size !== length && isLost()) {
      ftruncateSync(file, length)
      size = length
      lost += 1
    }
    for (let page = Math.ceil(length / pageBytes); page * pageBytes < size; page += 1) {
      if (!pages.has(page)) pages.set(page, Buffer.alloc(pageBytes))
    }
    for (const [page, content] of pages) {
      const bytes = Math.min(pageBytes, size - page * pageBytes)
      if (bytes <= 0 || !isLost()) continue
      writeSync(file, content, 0, bytes, page * pageBytes)
      lost += 1
    }
    return lost
  } finally {
    closeSync(file)
  }
}

/** The pages that changed since the last sync, as they were then. */
function durableState(changes: readonly Entry[]): { readonly pages: Map<number, Buffer>; readonly length: number } {
  const pages = new Map<number, Buffer>()
  let length = changes[0]!.length
  for (const { kind, offset, content } of changes) {
    if (kind === kinds.durable) length = Math.max(length, offset + content.length)
    for (let at = 0; at < content.length;) {
      const page = Math.floor((offset + at) / pageBytes)
      const inPage = offset + at - page * pageBytes
      const piece = content.subarray(at, at + pageBytes - inPage)
      at += piece.length
      const known = pages.get(page)
      if (known !== undefined && kind === kinds.old) continue
      const durable = known ?? Buffer.alloc(pageBytes)
      piece.copy(durable, inPage)
      pages.set(page, durable)
    }
  }
  return { pages, length }
}

/** Directory changes reach the disk in order: those after some moment are lost. */
function undoRenames(entries: readonly Entry[], share: number, random: Random): number {
  let open: (readonly [from: string, to: string, saved: string])[] = []
  for (const { kind, content } of entries) {
    const parts = content.toString().split('\0')
    if (kind === kinds.renamed) open.push([parts[0]!, parts[1]!, parts[2]!])
    else open = open.filter(([, to]) => dirname(to) !== parts[0])
  }
  const keep = open.findIndex(() => random() < share)
  if (keep < 0) return 0
  for (const [from, to, saved] of open.slice(keep).toReversed()) {
    if (existsSync(from) || !existsSync(to)) continue
    renameSync(to, from)
    if (saved !== '') linkSync(saved, to)
  }
  return open.length - keep
}

/**
 * A home as a stream of one moment, and back. What leaves is sealed as it lies: rows and blob files under the home's
 * key, and that key as its file has it. A backup is therefore worth as much as its own passphrase.
 */
import { constants, mkdirSync, readFileSync } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BackupCounts } from './core/control-views.ts'
import { MyceliumError } from './core/errors.ts'
import { syncDirectory } from './core/store/blob-file.ts'
import { restoreStore, type StoreSnapshot } from './core/store/snapshot.ts'
import { tables } from './core/store/tables.ts'
import { decodeHome, encodeHome, type HomeEvent } from './core/transfer/home-stream.ts'
import { beginCreation, endCreation, type HomePaths, markRestored, parseMarker } from './home.ts'

const pieceBytes = 256 * 1024

type Counts = { -readonly [Name in keyof BackupCounts]: BackupCounts[Name] }

export interface BackupSource {
  readonly paths: HomePaths
  readonly snapshot: StoreSnapshot
  readonly nowMs: number
}

/** Hands the stream to `output`, at its pace. */
export async function readBackup(
  source: BackupSource,
  { output, signal }: { readonly output: (bytes: Uint8Array) => Promise<void>; readonly signal: AbortSignal },
): Promise<BackupCounts> {
  const counts: Counts = { rows: 0, files: 0, missing: 0 }
  for await (const piece of encodeHome(homeEvents(source, counts))) {
    signal.throwIfAborted()
    await output(piece)
  }
  return counts
}

async function* homeEvents({ paths, snapshot, nowMs }: BackupSource, counts: Counts): AsyncGenerator<HomeEvent> {
  const names = (await readdir(paths.blobs)).filter((name) => /^[\da-f]{32}$/.test(name))
  let bytes = snapshot.bytes
  for (const name of names) bytes += (await stat(join(paths.blobs, name)).catch(() => ({ size: 0 }))).size
  yield { kind: 'begin', createdAtMs: nowMs, bytes }
  for (const [path, file] of [
    ['home.json', paths.marker],
    ['key', paths.key],
  ] as const) {
    yield { kind: 'file', path }
    yield { kind: 'bytes', bytes: readFileSync(file) }
  }
  const named = new Set<string>()
  for (const rows of snapshot.batches()) {
    for (const { key } of rows) if (key[0] === tables.blobs.id) named.add(Buffer.from(key.subarray(1)).toString('hex'))
    counts.rows += rows.length
    yield { kind: 'rows', rows }
  }
  // Also those that no row names yet: blobs on their way here. What turns out to be nothing is swept after a restore.
  for (const name of new Set([...names, ...named])) yield* blobEvents(join(paths.blobs, name), name, counts, named)
  yield { kind: 'end', rows: counts.rows, files: counts.files }
}

async function* blobEvents(
  path: string,
  name: string,
  counts: Counts,
  named: ReadonlySet<string>,
): AsyncGenerator<HomeEvent> {
  let handle: FileHandle
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch {
    if (named.has(name)) counts.missing += 1
    return
  }
  await using file = handle
  yield { kind: 'file', path: `blobs/${name}` }
  const { size } = await file.stat() // what is written after this moment is not asked for
  for (let at = 0; at < size;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(pieceBytes, size - at)), 0, undefined, at)
    if (bytesRead === 0) break
    yield { kind: 'bytes', bytes: buffer.subarray(0, bytesRead) }
    at += bytesRead
  }
  counts.files += 1
}

/**
 * Makes a home of the stream. It counts as one only when everything is durable, and is marked to go on as a new device.
 * The caller holds the lock of an empty home. @throws `malformed`, `disk-full`
 */
export async function writeHome(paths: HomePaths, source: AsyncIterable<Uint8Array>): Promise<BackupCounts> {
  beginCreation(paths.home)
  mkdirSync(paths.blobs, { mode: 0o700 })
  const counts: Counts = { rows: 0, files: 0, missing: 0 }
  let marker: Uint8Array = new Uint8Array()
  {
    await using files = new RestoredFiles(paths)
    await using store = restoreStore(paths.store)
    let path: string | undefined
    for await (const event of decodeHome(source)) {
      if (event.kind === 'rows') {
        store.put(event.rows)
        counts.rows += event.rows.length
      } else if (event.kind === 'file') {
        path = event.path
        if (path !== 'home.json') await files.begin(path)
        if (path.startsWith('blobs/')) counts.files += 1
      } else if (event.kind === 'bytes') {
        if (path === undefined) throw new MyceliumError('malformed', { what: 'backup' })
        if (path === 'home.json') marker = Uint8Array.from(event.bytes)
        else await files.write(event.bytes)
      } else if (event.kind === 'end' && (event.rows !== counts.rows || event.files !== counts.files))
        throw new MyceliumError('malformed', { what: 'backup' })
    }
  }
  for (const folder of [paths.store, paths.blobs]) await syncDirectory(folder)
  const { createdAtMs, keyStore, serviceDomain } = parseMarker(Buffer.from(marker).toString('utf8'))
  markRestored(paths)
  await syncDirectory(paths.home) // no power failure leaves a home that does not know where it comes from
  endCreation(paths.home, { createdAtMs, keyStore, serviceDomain })
  await syncDirectory(paths.home)
  return counts
}

/** One file after the other, each durable before the next. */
class RestoredFiles implements AsyncDisposable {
  readonly #paths: HomePaths
  #file: FileHandle | undefined

  constructor(paths: HomePaths) {
    this.#paths = paths
  }

  async begin(path: string): Promise<void> {
    await this.#end()
    this.#file = await open(join(this.#paths.home, path), 'wx', 0o600)
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#file?.writeFile(bytes)
  }

  async #end(): Promise<void> {
    await this.#file?.sync()
    await this.#file?.close()
    this.#file = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
  }
}

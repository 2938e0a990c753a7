/**
 * The home directory: layout, owner-only permissions, and the lock that keeps a second gateway out. Everything a
 * gateway keeps is below it; the only thing outside is the control socket when the home's path is too long for one.
 */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import * as z from 'zod'
import type { Random } from './core/ambient.ts'
import { toBase64Url } from './core/bytes.ts'
import { MyceliumError } from './core/errors.ts'

const markerFormat = 'mycelium-gateway home'
const markerVersion = 1
const markerSchema = z.strictObject({
  format: z.literal(markerFormat),
  version: z.int().min(1),
  createdAtMs: z.number(),
  keyStore: z.enum(['passphrase', 'key-file']),
  /** Domain of own ids on chat protocols (DESIGN §4). */
  serviceDomain: z.string(),
})

export type HomeMarker = z.output<typeof markerSchema>

export interface HomePaths {
  readonly home: string
  /** Says that this is a home, and of which version. */
  readonly marker: string
  /** There while the home is being made: without a marker, what stands beside it is an interrupted attempt. */
  readonly creating: string
  /** There until a home that came out of a backup has gone on as a new device. */
  readonly restored: string
  /** Unlocks the key store: raw key (owner-only), or a key wrapped by the passphrase. */
  readonly key: string
  /** Folder of the database. */
  readonly store: string
  /** Folder of encrypted blobs. */
  readonly blobs: string
  /** What was administered, JSON lines. */
  readonly audit: string
  /** Bearer token for /metrics. */
  readonly metricsToken: string
  readonly controlSocket: string
}

/** sun_path is 104 bytes on macOS and the BSDs, 108 on Linux, with the final NUL. */
const socketPathBytesMax = 103

export function homePaths(home: string): HomePaths {
  return {
    home,
    marker: join(home, 'home.json'),
    creating: join(home, 'creating'),
    restored: join(home, 'restored'),
    key: join(home, 'key'),
    store: join(home, 'store'),
    blobs: join(home, 'blobs'),
    audit: join(home, 'audit.jsonl'),
    metricsToken: join(home, 'metrics-token'),
    controlSocket: controlSocketPath(home),
  }
}

/** In the home, or, where that path is too long for a socket, in an owner-only folder for temporary files. */
function controlSocketPath(home: string): string {
  const inside = join(home, 'control.sock')
  if (Buffer.byteLength(inside) <= socketPathBytesMax) return inside
  const name = createHash('sha256').update(resolved(home)).digest('hex').slice(0, 24)
  return join(runtimeFolder(), `${name}.sock`)
}

function resolved(path: string): string {
  return existsSync(path) ? realpathSync(path) : join(resolved(dirname(path)), basename(path))
}

/** @throws `home-invalid` when somebody else owns or can enter the folder */
function runtimeFolder(): string {
  const uid = process.getuid?.() ?? 0
  const folder = join(tmpdir(), `mycelium-gateway-${uid}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const found = lstatSync(folder)
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) {
    throw new MyceliumError('home-invalid', { reason: 'socket folder is not ours', folder })
  }
  return folder
}

/**
 * What is at this path: nothing yet (absent or empty), or a home.
 * @throws `home-invalid` with a reason when it is something else, damaged, or of a later version
 */
export function inspectHome(
  home: string,
): { readonly kind: 'nothing' } | { readonly kind: 'home'; readonly marker: HomeMarker } {
  const { marker } = homePaths(home)
  let entries: string[]
  try {
    entries = readdirSync(home)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') return { kind: 'nothing' }
    throw new MyceliumError('home-invalid', { reason: code === 'ENOTDIR' ? 'not a directory' : 'cannot be read' })
  }
  if (!entries.includes('home.json')) {
    if (entries.includes('creating') || entries.every((entry) => entry.startsWith('lock.'))) return { kind: 'nothing' }
    throw new MyceliumError('home-invalid', { reason: 'a directory with other files, without home.json' })
  }
  try {
    return { kind: 'home', marker: parseMarker(readFileSync(marker, 'utf8')) }
  } catch (error) {
    if (error instanceof MyceliumError) throw error
    throw new MyceliumError('home-invalid', { reason: 'home.json is damaged' }, { cause: error })
  }
}

/** @throws `home-invalid` */
export function parseMarker(text: string): HomeMarker {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new MyceliumError('home-invalid', { reason: 'home.json is damaged' }, { cause: error })
  }
  const version = z.looseObject({ format: z.literal(markerFormat), version: z.number() }).safeParse(value)
  if (version.success && version.data.version > markerVersion) {
    throw new MyceliumError('home-invalid', { reason: 'made by a later version', version: version.data.version })
  }
  const parsed = markerSchema.safeParse(value)
  if (!parsed.success) throw new MyceliumError('home-invalid', { reason: 'home.json is damaged' })
  return parsed.data
}

/** Creates the directory, or closes an existing one to everybody but its owner. @throws `home-invalid` */
export function secureHome(home: string): void {
  makeFolder(home)
  const found = statSync(home)
  const uid = process.getuid?.()
  if (uid !== undefined && found.uid !== uid)
    throw new MyceliumError('home-invalid', { reason: 'belongs to another user' })
  if ((found.mode & 0o077) !== 0) chmodSync(home, 0o700)
}

/** With those above it. Not `recursive`: Node then tries for ever where a file system makes no folders (/proc). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return
  if (dirname(folder) !== folder) makeFolder(dirname(folder))
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/**
 * A home without its key or its store is damaged, not new: an empty store would be made, and nothing be missed.
 * @throws `home-invalid`, `store-corrupt` with `file`
 */
export function requireParts(paths: HomePaths): void {
  if (!existsSync(paths.key)) {
    throw new MyceliumError('home-invalid', {
      reason: `its key file is missing (${paths.key}); put it back from a backup, nothing opens without it`,
    })
  }
  const file = databaseFile(paths)
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) === 0) {
    throw new MyceliumError('store-corrupt', { what: 'missing', file })
  }
}

/** What a damaged store is known by. */
export const databaseFile = ({ store }: HomePaths): string => join(store, 'data.mdb')

/** Marks the home as being made, and clears what an interrupted attempt left. The caller holds the lock. */
export function beginCreation(home: string): void {
  const paths = homePaths(home)
  writePrivate(paths.creating, '')
  for (const part of [paths.key, paths.store, paths.blobs, paths.audit, paths.metricsToken, paths.restored]) {
    rmSync(part, { recursive: true, force: true })
  }
}

/** From here on the directory is a home. */
export function endCreation(home: string, marker: Omit<HomeMarker, 'format' | 'version'>): void {
  const paths = homePaths(home)
  const full: HomeMarker = { format: markerFormat, version: markerVersion, ...marker }
  writePrivate(paths.marker, `${JSON.stringify(full, undefined, 2)}\n`)
  rmSync(paths.creating, { force: true })
}

/** What is in the home came out of a backup: it must not go on with the keys that it brought. */
export const markRestored = ({ restored }: HomePaths): void => writePrivate(restored, '')
export const isRestored = ({ restored }: HomePaths): boolean => existsSync(restored)
export const clearRestored = ({ restored }: HomePaths): void => rmSync(restored, { force: true })

/** A file that only the owner can read, complete or absent. */
function writePrivate(path: string, content: string | Uint8Array): void {
  const draft = `${path}.new`
  writeFileSync(draft, content, { mode: 0o600, flush: true })
  chmodSync(draft, 0o600)
  renameSync(draft, path)
}

/** Token that /metrics asks for: made once, readable by the owner only. */
export function metricsTokenOf(paths: HomePaths, random: Random): string {
  try {
    return readFileSync(paths.metricsToken, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const token = toBase64Url(random.bytes(32))
    writePrivate(paths.metricsToken, `${token}\n`)
    return token
  }
}

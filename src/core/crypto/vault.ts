/**
 * The home key: 32 random bytes that encrypt the store, kept in one small file. Either a passphrase wraps it (Argon2id,
 * 64 MiB, 3 passes, in a worker thread), or the file holds it as it is and only its owner may read it. The second form
 * does not resist whoever copies the home.
 */
import { link, open as openFile, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fromBase64, fromUtf8, toBase64, toHex } from '../bytes.ts'
import type { Random } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import { openRandom, sealRandom, xaeadNonceBytes } from './aead.ts'
import { argon2SaltBytes } from './kdf.ts'
import { passphraseKey } from './passphrase-key.ts'
import { Secret } from './secret.ts'

export type VaultKind = 'passphrase' | 'key-file'

const version = 1
const homeKeyBytes = 32
const memoryBytesDefault = 64 * 1024 * 1024
const passesDefault = 3
const fileBytesMax = 4096
/** What a damaged or hostile file may make us spend. */
const memoryBytesMax = 1024 * 1024 * 1024
const passesMax = 16

/** The file: JSON, so that a person can see which form it is. Bytes are padded base64. */
type VaultFile =
  | { readonly version: 1; readonly kind: 'key-file'; readonly key: string }
  | {
      readonly version: 1
      readonly kind: 'passphrase'
      readonly kdf: 'argon2id'
      readonly memoryBytes: number
      readonly passes: number
      readonly salt: string
      /** Nonce, sealed home key and tag; XChaCha20-Poly1305 with the parameters above as associated data. */
      readonly sealed: string
    }

/**
 * Makes a new home key and its file, and gives the key. An existing file is never overwritten.
 * @throws `home-invalid` when the file is there already
 */
export async function createVault(
  path: string,
  { passphrase, random }: { readonly passphrase: string | undefined; readonly random: Random },
): Promise<Secret> {
  const key = random.bytes(homeKeyBytes)
  await writeVault(path, await wrap(key, passphrase, random), { replace: false })
  return new Secret(key)
}

/**
 * The home key.
 * @throws `not-initialised` (no file), `key-file-exposed`, `key-store-locked` (a passphrase is needed),
 *   `wrong-credentials` (it is another one), `home-invalid` (damaged, or of a later version)
 */
export async function openVault(path: string, passphrase: string | undefined): Promise<Secret> {
  const file = await readVault(path)
  if (file.kind === 'key-file') {
    const key = fromBase64(file.key)
    if (key?.length !== homeKeyBytes) throw damaged()
    return new Secret(Uint8Array.from(key))
  }
  if (passphrase === undefined) throw new MyceliumError('key-store-locked')
  const [salt, sealed] = [fromBase64(file.salt), fromBase64(file.sealed)]
  if (salt?.length !== argon2SaltBytes || sealed === undefined) throw damaged()
  using wrapping = await passphraseKey(passphrase, { salt, memoryBytes: file.memoryBytes, passes: file.passes })
  const key = wrapping.read((bytes) => openRandom(bytes, sealed, associated(file.memoryBytes, file.passes)))
  if (key?.length !== homeKeyBytes) throw new MyceliumError('wrong-credentials')
  return new Secret(key)
}

/** Which form the file has, without opening it. @throws as `openVault` */
export const vaultKind = async (path: string): Promise<VaultKind> => (await readVault(path)).kind

/**
 * Wraps the same home key anew; `next` undefined makes it a key file. The store is not touched. An old copy of the
 * file still opens with the old passphrase.
 * @throws as `openVault`
 */
export async function changePassphrase(
  path: string,
  {
    current,
    next,
    random,
  }: { readonly current: string | undefined; readonly next: string | undefined; readonly random: Random },
): Promise<void> {
  using key = await openVault(path, current)
  const file = await key.read(async (bytes) => await wrap(bytes, next, random))
  await writeVault(path, file, { replace: true })
}

const damaged = (cause?: unknown): MyceliumError => new MyceliumError('home-invalid', { reason: 'key-file' }, { cause })

async function wrap(key: Uint8Array, passphrase: string | undefined, random: Random): Promise<VaultFile> {
  if (passphrase === undefined) return { version, kind: 'key-file', key: toBase64(key) }
  const [memoryBytes, passes] = [memoryBytesDefault, passesDefault]
  const salt = random.bytes(argon2SaltBytes)
  using wrapping = await passphraseKey(passphrase, { salt, memoryBytes, passes })
  const nonce = random.bytes(xaeadNonceBytes)
  const sealed = wrapping.read((bytes) => sealRandom(bytes, nonce, key, associated(memoryBytes, passes)))
  return {
    version,
    kind: 'passphrase',
    kdf: 'argon2id',
    memoryBytes,
    passes,
    salt: toBase64(salt),
    sealed: toBase64(sealed),
  }
}

const associated = (memoryBytes: number, passes: number): Uint8Array =>
  fromUtf8(`mycelium/vault/1 argon2id ${memoryBytes} ${passes}`)

async function readVault(path: string): Promise<VaultFile> {
  const found = await stat(path).catch((cause: unknown) => {
    throw hasErrno(cause, 'ENOENT') ? new MyceliumError('not-initialised', {}, { cause }) : cause
  })
  if (!found.isFile() || found.size > fileBytesMax) throw damaged()
  if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) {
    throw new MyceliumError('key-file-exposed', { mode: (found.mode & 0o777).toString(8) })
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw damaged(cause)
  }
  if (!isVaultFile(parsed)) throw damaged()
  return parsed
}

const hasErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

function isVaultFile(value: unknown): value is VaultFile {
  if (typeof value !== 'object' || value === null) return false
  const file = value as Record<string, unknown>
  if (file['version'] !== version) return false
  if (file['kind'] === 'key-file') return typeof file['key'] === 'string'
  const inRange = (field: string, max: number): boolean =>
    Number.isInteger(file[field]) && (file[field] as number) >= 1 && (file[field] as number) <= max
  return (
    file['kind'] === 'passphrase' &&
    file['kdf'] === 'argon2id' &&
    inRange('memoryBytes', memoryBytesMax) &&
    inRange('passes', passesMax) &&
    typeof file['salt'] === 'string' &&
    typeof file['sealed'] === 'string'
  )
}

/** Whole or not at all, also across a power loss: a synced file beside it takes its name, then the directory is synced. */
async function writeVault(path: string, file: VaultFile, { replace }: { readonly replace: boolean }): Promise<void> {
  const directory = dirname(path)
  const beside = join(directory, `.key-${toHex(crypto.getRandomValues(new Uint8Array(8)))}`)
  try {
    await using handle = await openFile(beside, 'wx', 0o600)
    await handle.writeFile(`${JSON.stringify(file)}\n`)
    await handle.sync()
    if (replace) await rename(beside, path)
    else await link(beside, path)
  } catch (error) {
    if (hasErrno(error, 'EEXIST'))
      throw new MyceliumError('home-invalid', { reason: 'key-file-exists' }, { cause: error })
    throw error
  } finally {
    await rm(beside, { force: true })
  }
  await using parent = await openFile(directory, 'r')
  await parent.sync()
}

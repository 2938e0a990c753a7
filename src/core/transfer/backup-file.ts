/**
 * ◆ A backup as a file (docs/backup.md): a header in the clear, then chunks of 64 KB of XChaCha20-Poly1305 under a key
 * from the passphrase. The nonce counts the chunks and marks the last one, and the header is associated data of all:
 * nothing can be cut off, left out, exchanged or changed unnoticed.
 */
import type { Random } from '../ambient.ts'
import { concat, fromUtf8 } from '../bytes.ts'
import { aeadTagBytes, openLong, sealLong } from '../crypto/aead.ts'
import { passphraseKey } from '../crypto/passphrase-key.ts'
import type { Secret } from '../crypto/secret.ts'
import { MyceliumError } from '../errors.ts'
import type { RandomAccess } from './file-lines.ts'

const magic = fromUtf8('mycelium backup\n')
const version = 1
const saltBytes = 16
const prefixBytes = 15
const saltAt = magic.length + 6
/** magic | u8 version | u32 memory in KiB | u8 passes | salt | nonce prefix */
export const backupHeaderBytes = saltAt + saltBytes + prefixBytes
const chunkBytes = 64 * 1024
const sealedBytes = chunkBytes + aeadTagBytes

/** More than a home's own key file asks for: a backup lies where others may copy it, and is opened rarely. */
const memoryKibDefault = 256 * 1024
const passesDefault = 3
/** What a hostile file may make us spend: a few seconds, and twice the memory of an honest one. */
const memoryKibMax = 2 * memoryKibDefault
const passesMax = 2 * passesDefault

/** The file's octets. @param cost for tests, which make many */
export async function* sealBackup(
  source: AsyncIterable<Uint8Array>,
  passphrase: string,
  { random, memoryKib = memoryKibDefault }: { readonly random: Random; readonly memoryKib?: number },
): AsyncGenerator<Uint8Array> {
  const header = Buffer.alloc(backupHeaderBytes)
  header.set(magic)
  header[magic.length] = version
  header.writeUInt32BE(memoryKib, magic.length + 1)
  header[magic.length + 5] = passesDefault
  header.set(random.bytes(saltBytes + prefixBytes), saltAt)
  using key = await keyOf(header, passphrase)
  yield header
  let pending: Uint8Array = new Uint8Array()
  let index = 0
  for await (const piece of source) {
    pending = concat(pending, piece)
    for (; pending.length > chunkBytes; index += 1) {
      yield sealChunk(key, header, { index, isLast: false, plaintext: pending.subarray(0, chunkBytes) })
      pending = pending.slice(chunkBytes)
    }
  }
  yield sealChunk(key, header, { index, isLast: true, plaintext: pending })
}

/**
 * What was sealed.
 * @throws `malformed` with `what`: `backup` (not one, or of a later version) or `backup-damaged`
 * @throws `wrong-credentials` when the first chunk does not open
 */
export async function* openBackup(file: RandomAccess, passphrase: string): AsyncGenerator<Uint8Array> {
  const header = Buffer.from(await file.read(0, Math.min(file.size, backupHeaderBytes)))
  checkHeader(header)
  const sealed = file.size - backupHeaderBytes
  if (sealed < aeadTagBytes) throw damaged()
  using key = await keyOf(header, passphrase)
  const chunks = Math.ceil(sealed / sealedBytes)
  for (let index = 0; index < chunks; index += 1) {
    const from = backupHeaderBytes + index * sealedBytes
    const chunk = await file.read(from, Math.min(file.size, from + sealedBytes))
    const isLast = index === chunks - 1
    const opened = openChunk(key, header, { index, isLast, sealed: chunk })
    if (opened === undefined) {
      // Whoever knows the passphrase opens a first chunk; as another kind of chunk, where the rest was cut off.
      const isKnown = index > 0 || openChunk(key, header, { index, isLast: !isLast, sealed: chunk }) !== undefined
      throw isKnown ? damaged() : new MyceliumError('wrong-credentials')
    }
    yield opened
  }
}

function sealChunk(
  key: Secret,
  header: Buffer,
  { index, isLast, plaintext }: { index: number; isLast: boolean; plaintext: Uint8Array },
): Uint8Array {
  return key.read((bytes) => sealLong(bytes, nonceOf(header, index, isLast), plaintext, header))
}

function openChunk(
  key: Secret,
  header: Buffer,
  { index, isLast, sealed }: { index: number; isLast: boolean; sealed: Uint8Array },
): Uint8Array | undefined {
  return key.read((bytes) => openLong(bytes, nonceOf(header, index, isLast), sealed, header))
}

function nonceOf(header: Buffer, index: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(24)
  nonce.set(header.subarray(backupHeaderBytes - prefixBytes))
  nonce.writeBigUInt64BE(BigInt(index), prefixBytes)
  nonce[23] = isLast ? 1 : 0
  return nonce
}

async function keyOf(header: Buffer, passphrase: string): Promise<Secret> {
  return await passphraseKey(passphrase, {
    salt: Uint8Array.from(header.subarray(saltAt, saltAt + saltBytes)),
    memoryBytes: header.readUInt32BE(magic.length + 1) * 1024,
    passes: header[magic.length + 5]!,
  })
}

function checkHeader(header: Buffer): void {
  const isBackup = header.length === backupHeaderBytes && header.subarray(0, magic.length).equals(magic)
  if (!isBackup || header[magic.length] !== version) throw new MyceliumError('malformed', { what: 'backup' })
  const memoryKib = header.readUInt32BE(magic.length + 1)
  const passes = header[magic.length + 5]!
  if (memoryKib < 8 || memoryKib > memoryKibMax || passes < 1 || passes > passesMax) throw damaged()
}

const damaged = (): MyceliumError => new MyceliumError('malformed', { what: 'backup-damaged' })

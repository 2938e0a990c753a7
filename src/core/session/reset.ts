/**
 * ◆ The reset statement: a device says, signed, that it can no longer use a session, and asks its peer for a new
 * handshake. It is shown to the user, and obeyed at most once in six hours. Format: docs/protocol/ratchet.md.
 */
import type { Random } from '../ambient.ts'
import { type Codec, decode, encode, fixed, hexId, record, u64 } from '../codec.ts'
import { signatureBytes, type SigningKey, sign, verify } from '../crypto/sign.ts'
import { MyceliumError } from '../errors.ts'
import type { DeviceId } from '../ids.ts'
import { limits } from '../limits.ts'
import { fromHex } from '../bytes.ts'

const label = 'mycelium/session/reset/1'

export interface ResetStatement {
  readonly from: DeviceId
  readonly to: DeviceId
  /** The session that is given up, hex. */
  readonly session: string
  /** Clock of `from`, Unix milliseconds. */
  readonly atMs: number
  /** 16 random bytes. */
  readonly nonce: Uint8Array
}

const codec: Codec<ResetStatement> = record<ResetStatement>({
  from: hexId<DeviceId>(32),
  to: hexId<DeviceId>(32),
  session: hexId<string>(32),
  atMs: u64,
  nonce: fixed(16),
})
export const resetBytes = 120 + signatureBytes

/** 184 bytes: the statement, then its signature. `key` is the key of the device `from`. */
export function signReset(
  key: SigningKey,
  about: Omit<ResetStatement, 'nonce'>,
  { random }: { readonly random: Random },
): Uint8Array {
  const body = encode(codec, { ...about, nonce: random.bytes(16) })
  return Buffer.concat([body, sign(key, label, body)])
}

/** A statement signed by the device that it names. @throws `malformed`, `signature-invalid` */
export function readReset(bytes: Uint8Array): ResetStatement {
  if (bytes.length !== resetBytes) throw new MyceliumError('malformed', { length: bytes.length })
  const body = Uint8Array.from(bytes.subarray(0, 120))
  const statement = decode(codec, body)
  if (!verify(fromHex(statement.from)!, label, body, bytes.subarray(120))) throw new MyceliumError('signature-invalid')
  return statement
}

/** Whether a device pair may be reset now, when the last reset that was made or obeyed was at `lastMs`. */
export const mayReset = (lastMs: number | undefined, nowMs: number): boolean =>
  lastMs === undefined || Math.abs(nowMs - lastMs) >= limits.resetMsMin

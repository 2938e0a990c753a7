/** Records in a stream of bytes: `u8 kind | u32 length, big-endian | payload`. */
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'

const headBytes = 5

export function recordOf(kind: number, payload: Uint8Array = new Uint8Array()): Uint8Array {
  const record = Buffer.allocUnsafe(headBytes + payload.length)
  record[0] = kind
  record.writeUInt32BE(payload.length, 1)
  record.set(payload, headBytes)
  return record
}

/** Payloads are the caller's to keep until the next one is asked for. @throws `malformed` for a record that is too long or cut off */
export async function* records(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly kind: number; readonly payload: Uint8Array }> {
  let pending = Buffer.alloc(0)
  for await (const chunk of source) {
    pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk])
    let at = 0
    while (pending.length - at >= headBytes) {
      const length = pending.readUInt32BE(at + 1)
      if (length > limits.transferRecordBytesMax) throw malformed()
      const end = at + headBytes + length
      if (end > pending.length) break
      yield { kind: pending[at]!, payload: pending.subarray(at + headBytes, end) }
      at = end
    }
    pending = pending.subarray(at)
  }
  if (pending.length > 0) throw malformed()
}

const malformed = (): MyceliumError => new MyceliumError('malformed', { what: 'record' })

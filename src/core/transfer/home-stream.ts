/**
 * ◆ What a backup holds (docs/backup.md): the home's small files, every row of the store as it is sealed there, and the
 * blob files. Records as in records.ts.
 */
import * as z from 'zod'
import { concat, fromUtf8 } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import { records, recordOf } from './records.ts'

const kinds = { begin: 1, file: 2, bytes: 3, rows: 4, end: 5 } as const

const beginSchema = z.strictObject({
  format: z.literal('mycelium-gateway backup'),
  version: z.literal(1),
  createdAtMs: z.number(),
  /** About as many octets follow. */
  bytes: z.number(),
})
/** The only names that a restored home gets. */
const fileSchema = z.strictObject({ path: z.string().regex(/^(?:home\.json|key|blobs\/[\da-f]{32})$/) })
const endSchema = z.strictObject({ rows: z.number(), files: z.number() })

export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export type HomeEvent =
  | { readonly kind: 'begin'; readonly createdAtMs: number; readonly bytes: number }
  | { readonly kind: 'file'; readonly path: string }
  /** More of the file that was named last. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'rows'; readonly rows: readonly Row[] }
  | { readonly kind: 'end'; readonly rows: number; readonly files: number }

export async function* encodeHome(events: AsyncIterable<HomeEvent>): AsyncGenerator<Uint8Array> {
  for await (const event of events) {
    switch (event.kind) {
      case 'begin': {
        const { createdAtMs, bytes } = event
        yield json(kinds.begin, { format: 'mycelium-gateway backup', version: 1, createdAtMs, bytes })
        break
      }
      case 'file':
        yield json(kinds.file, { path: event.path })
        break
      case 'bytes':
        yield recordOf(kinds.bytes, event.bytes)
        break
      case 'rows':
        yield recordOf(kinds.rows, packed(event.rows))
        break
      case 'end':
        yield json(kinds.end, { rows: event.rows, files: event.files })
    }
  }
}

const json = (kind: number, value: unknown): Uint8Array => recordOf(kind, fromUtf8(JSON.stringify(value)))

/** u16 length, key, u32 length, value. */
function packed(rows: readonly Row[]): Uint8Array {
  return concat(
    ...rows.flatMap(({ key, value }) => {
      const lengths = Buffer.alloc(6)
      lengths.writeUInt16BE(key.length)
      lengths.writeUInt32BE(value.length, 2)
      return [lengths.subarray(0, 2), key, lengths.subarray(2), value]
    }),
  )
}

/** @throws `malformed`, also for a stream without its end */
export async function* decodeHome(source: AsyncIterable<Uint8Array>): AsyncGenerator<HomeEvent> {
  let isOver = false
  for await (const { kind, payload } of records(source)) {
    if (isOver) throw malformed()
    if (kind === kinds.bytes) yield { kind: 'bytes', bytes: payload }
    else if (kind === kinds.rows) yield { kind: 'rows', rows: unpacked(payload) }
    else if (kind === kinds.file) yield { kind: 'file', ...parsed(fileSchema, payload) }
    else if (kind === kinds.begin) {
      const { createdAtMs, bytes } = parsed(beginSchema, payload)
      yield { kind: 'begin', createdAtMs, bytes }
    } else if (kind === kinds.end) {
      isOver = true
      yield { kind: 'end', ...parsed(endSchema, payload) }
    } else throw malformed()
  }
  if (!isOver) throw malformed()
}

function unpacked(payload: Uint8Array): readonly Row[] {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const rows: Row[] = []
  const take = (at: number, length: number): Buffer => {
    if (at + length > bytes.length) throw malformed()
    return bytes.subarray(at, at + length)
  }
  for (let at = 0; at < bytes.length;) {
    const key = take(at + 2, take(at, 2).readUInt16BE())
    const valueAt = at + 2 + key.length
    const value = take(valueAt + 4, take(valueAt, 4).readUInt32BE())
    if (key.length === 0 || key.length > limits.storeKeyBytesMax + 1) throw malformed()
    rows.push({ key, value })
    at = valueAt + 4 + value.length
  }
  return rows
}

function parsed<T>(schema: z.ZodType<T>, payload: Uint8Array): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(payload).toString('utf8')))
  } catch (cause) {
    throw malformed(cause)
  }
}

const malformed = (cause?: unknown): MyceliumError => new MyceliumError('malformed', { what: 'backup' }, { cause })

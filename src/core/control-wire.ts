/**
 * The control socket's wire format, for both of its ends: one JSON object a line, requests answered in any order. An
 * answer is any number of progress lines and then one result or one error. A request may be followed by lines of input,
 * and an answer begin with lines of output: streams, in base64.
 */
import * as z from 'zod'
import { errorCodes, MyceliumError } from './errors.ts'

export const requestSchema = z.strictObject({
  id: z.int().min(0),
  verb: z.string().max(64),
  params: z.unknown(),
})
export type ControlRequest = z.output<typeof requestSchema>

/** More of what a running request reads; without `input`, its end. */
export const inputSchema = z.strictObject({ id: z.int().min(0), input: z.string().optional(), isLast: z.boolean() })

const progressSchema = z.object({ step: z.string(), done: z.number().optional(), total: z.number().optional() })
export const answerSchema = z.union([
  z.strictObject({ id: z.int(), progress: progressSchema }),
  z.strictObject({ id: z.int(), output: z.string() }),
  z.strictObject({ id: z.int(), result: z.unknown() }),
  z.strictObject({
    id: z.int(),
    error: z.strictObject({
      /** `usage`: parameters that the schema refuses. `internal`: a bug; the gateway's log has the line. */
      code: z.enum([...errorCodes, 'usage', 'internal']),
      details: z.record(z.string(), z.union([z.string(), z.number()])),
    }),
  }),
])
export type ControlAnswer = z.output<typeof answerSchema>

/** Lines of UTF-8 without their LF. @throws `line-too-long` when one exceeds `bytesMax` */
export async function* jsonLines(source: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<string> {
  let parts: Uint8Array[] = []
  let held = 0
  for await (const chunk of source) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end))
      if (held + end - start > bytesMax) throw new MyceliumError('line-too-long', { bytesMax })
      yield Buffer.concat(parts).toString('utf8')
      parts = []
      held = 0
      start = end + 1
    }
    const rest = chunk.subarray(start)
    parts.push(rest)
    held += rest.length
    if (held > bytesMax) throw new MyceliumError('line-too-long', { bytesMax })
  }
}

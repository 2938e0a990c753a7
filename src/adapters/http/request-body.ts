/** A request's body as it comes: no more than its route takes, no slower than a slow line. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

/** @throws `message-too-large`, `timeout`, `connection-closed` */
export async function* requestBody(
  request: IncomingMessage,
  response: ServerResponse,
  bytesMax: number,
): AsyncGenerator<Uint8Array> {
  if (request.headers.expect !== undefined) response.writeContinue()
  const startedAt = performance.now()
  const giveUp = (): NodeJS.Timeout =>
    setTimeout(() => request.destroy(new MyceliumError('timeout')), limits.httpBodyIdleMs)
  let timer = giveUp()
  let bytes = 0
  try {
    for await (const piece of request as AsyncIterable<Buffer>) {
      // only the wait for the peer counts, not what is done with its octets
      clearTimeout(timer)
      bytes += piece.length
      if (bytes > bytesMax) throw new MyceliumError('message-too-large', { bytesMax })
      // a byte now and then would hold the connection for as long as its sender likes
      const tookMs = performance.now() - startedAt
      if (tookMs > limits.httpBodyIdleMs + bytes / limits.httpBodyBytesPerMsMin) throw new MyceliumError('timeout')
      yield piece
      timer = giveUp()
    }
    if (!request.complete) throw new MyceliumError('connection-closed')
  } catch (error) {
    throw error instanceof MyceliumError ? error : new MyceliumError('connection-closed')
  } finally {
    clearTimeout(timer)
  }
}

export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

/** It says itself that it is longer. */
export const saysTooLong = ({ headers }: IncomingMessage, bytesMax: number): boolean =>
  Number(headers['content-length'] ?? 0) > bytesMax

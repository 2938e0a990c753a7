/** `/http-bind`: which session a request belongs to, and how many there may be. */
import type { Ambient } from '../../../../core/ambient.ts'
import { toBase64Url, toUtf8 } from '../../../../core/bytes.ts'
import { limits } from '../../../../core/limits.ts'
import { isLoopback } from '../../../wire/channel.ts'
import { type HttpAnswer, type HttpRequest, type HttpRoute, textAnswer } from '../../../wire/http.ts'
import { StreamError } from '../../transport.ts'
import { parseBody, type RequestBody, terminated } from './body.ts'
import { BoshSession } from './session.ts'

export class BoshSessions {
  readonly #sessions = new Map<string, BoshSession>()
  readonly #serve: (session: BoshSession) => void
  readonly #ambient: Ambient

  constructor(serve: (session: BoshSession) => void, ambient: Ambient) {
    this.#serve = serve
    this.#ambient = ambient
  }

  /** @param origins of pages that may log in, beside the listener's own */
  route(origins: readonly string[]): HttpRoute {
    return {
      path: '/http-bind',
      methods: ['POST'],
      bodyBytesMax: limits.boshBodyBytesMax,
      origins,
      answer: async (request) => await this.#answer(request),
    }
  }

  async #answer(request: HttpRequest): Promise<HttpAnswer> {
    const text = toUtf8(await whole(request.body))
    const body = text === undefined ? undefined : read(text)
    if (body === undefined) return xml(terminated('bad-request'))
    if (body.sid !== undefined) return await this.#goOn(this.#sessions.get(body.sid), body, request)
    if (body.bytes > limits.boshWrapperBytesMax) return xml(terminated('policy-violation'))
    if (!this.#hasRoom(request.remote))
      return textAnswer(503, 'too many sessions', { connection: 'close', 'retry-after': '30' })
    return await this.#begin(body, request)
  }

  /** XEP-0124 §7. */
  async #begin(body: RequestBody, { remote, isSecure, signal }: HttpRequest): Promise<HttpAnswer> {
    const sid = toBase64Url(this.#ambient.random.bytes(24))
    return await answered(signal, (respond) => {
      const onGone = (): void => void this.#sessions.delete(sid)
      const session = new BoshSession({ sid, remote, isSecure, onGone }, body, respond)
      this.#sessions.set(sid, session)
      this.#serve(session)
      return () => session.lost(body.rid, respond)
    })
  }

  async #goOn(
    session: BoshSession | undefined,
    body: RequestBody,
    { isSecure, signal }: HttpRequest,
  ): Promise<HttpAnswer> {
    // XEP-0124 §7: what began inside TLS goes on inside TLS
    if (session === undefined || (session.isSecure && !isSecure)) return xml(terminated('item-not-found'))
    return await answered(signal, (respond) => {
      session.receive(body, respond)
      return () => session.lost(body.rid, respond)
    })
  }

  #hasRoom(remote: string): boolean {
    if (this.#sessions.size >= limits.boshSessionsMax) return false
    if (isLoopback(remote)) return true
    let fromThere = 0
    for (const session of this.#sessions.values()) if (session.remote === remote) fromThere += 1
    return fromThere < limits.xmppWebPerAddressMax
  }
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** `undefined` for what is no body of BOSH. */
function read(text: string): RequestBody | undefined {
  try {
    return parseBody(text, limits.boshBodyBytesMax)
  } catch (error) {
    if (error instanceof StreamError) return undefined
    throw error
  }
}

/** @param ask hands the request on, and returns what is to be done when its connection is gone */
async function answered(
  signal: AbortSignal,
  ask: (respond: (body: string) => void) => () => void,
): Promise<HttpAnswer> {
  return xml(
    await new Promise<string>((resolve) => {
      const lost = ask(resolve)
      signal.addEventListener('abort', () => {
        lost()
        resolve('')
      })
    }),
  )
}

const xml = (body: string): HttpAnswer => ({
  status: 200,
  headers: { 'content-type': 'text/xml; charset=utf-8' },
  body,
})

/**
 * Requests of programs, from HTTP to their handlers: who asks, JSON read within bounds and checked against a schema, and
 * every failure in this protocol's words. Paths are those of the Client-Server API v1.19 under `/_matrix/client`, as r0,
 * v1 and v3 alike: programs disagree on which of them an operation has.
 */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { Log } from '../../../core/ambient.ts'
import { toUtf8 } from '../../../core/bytes.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { HttpAnswer, HttpRequest } from '../../wire/http.ts'
import { asMatrixError } from './core-errors.ts'
import { isTooDeep } from './json-depth.ts'
import { MatrixError } from './matrix-error.ts'

/** A program that has logged in. */
export interface Caller {
  readonly account: Identity
  /** Device id of this protocol: names the program, not the gateway. */
  readonly device: string
  readonly token: string
}

export interface Asked {
  readonly caller: Caller
  readonly path: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly request: HttpRequest
  /** The program has gone. */
  readonly signal: AbortSignal
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'
export type Json = Readonly<Record<string, unknown>>
/** What a handler answers: JSON with status 200, or all of an answer. */
export type Answer = Json | Raw
export interface Raw {
  readonly raw: HttpAnswer
}
const isRaw = (answer: Answer): answer is Raw => 'raw' in answer && typeof answer.raw === 'object'

type Bindings = { readonly Bindings: { readonly asked: HttpRequest } }

const versions = 'r0|v1|v3|unstable'

/** An object of any shape: what programs keep for themselves. */
export const anyJson = z.record(z.string(), z.unknown())

export interface ApiParts {
  readonly log: Log
  /** Who shows this token. @throws MatrixError */
  readonly callerOf: (token: string | undefined) => Caller
  /** Resolves when what the account has done before can be read. */
  readonly ready: (account: Identity) => Promise<void>
}

export class Api {
  readonly #app = new Hono<Bindings>()
  readonly #parts: ApiParts
  readonly #answers = new WeakMap<HttpRequest, HttpAnswer>()

  constructor(parts: ApiParts) {
    this.#parts = parts
    this.#app.notFound((context) =>
      this.#give(context, refuse(new MatrixError('M_UNRECOGNIZED', 'Unrecognized request'))),
    )
    this.#app.onError((error, context) => this.#give(context, this.#failed(error)))
  }

  /** For whoever has logged in. @param path below `/_matrix/client/<version>`, or whole when it begins with `/_matrix` */
  on(method: Method, path: string, handle: (asked: Asked) => Answer | Promise<Answer>): void {
    this.#add(method, path, async (context) => {
      const request = context.env.asked
      const caller = this.#parts.callerOf(tokenOf(request))
      await this.#parts.ready(caller.account)
      return await handle({ caller, ...partsOf(context), request, query: request.query, signal: request.signal })
    })
  }

  /** The same with a body. */
  withBody<T>(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    schema: z.ZodType<T>,
    handle: (asked: Asked, body: T) => Answer | Promise<Answer>,
  ): void {
    this.on(method, path, async (asked) => await handle(asked, await readBody(asked.request, schema)))
  }

  /** For anybody. */
  open(
    method: Method,
    path: string,
    handle: (request: HttpRequest, path: Readonly<Record<string, string>>) => Answer | Promise<Answer>,
  ): void {
    this.#add(method, path, async (context) => await handle(context.env.asked, partsOf(context).path))
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    // what a page of another site asks first is answered before; a program may ask too
    if (request.method === 'OPTIONS') return { status: 204 }
    await this.#app.fetch(new Request(`http://localhost${request.path}`, { method: request.method }), {
      asked: request,
    })
    return this.#answers.get(request)!
  }

  #add(method: Method, path: string, handle: (context: Context<Bindings>) => Promise<Answer>): void {
    const whole =
      path.startsWith('/_matrix') || path.startsWith('/.well-known') ? path : `/_matrix/client/:api{${versions}}${path}`
    this.#app.on(method, whole, async (context) => {
      const answer = await handle(context)
      return this.#give(context, isRaw(answer) ? answer.raw : jsonAnswer(200, answer))
    })
  }

  /** Hono finds the way; what is answered goes round it, so that files are streamed and counted as everywhere here. */
  #give(context: Context<Bindings>, answer: HttpAnswer): Response {
    this.#answers.set(context.env.asked, answer)
    return new Response()
  }

  #failed(error: unknown): HttpAnswer {
    const known = asMatrixError(error)
    if (known instanceof MatrixError) return refuse(known)
    this.#parts.log.error('matrix.failed', { error: error instanceof Error ? error.name : typeof error })
    return refuse(
      new MatrixError('M_UNKNOWN', 'Something went wrong here; the log of the gateway says more', { status: 500 }),
    )
  }
}

const jsonAnswer = (status: number, body: unknown): HttpAnswer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

const refuse = (error: MatrixError): HttpAnswer => jsonAnswer(error.status, error.body)

function partsOf(context: Context<Bindings>): { readonly path: Readonly<Record<string, string>> } {
  return { path: context.req.param() as Record<string, string> }
}

/** Client-Server API, "Using access tokens"; in the query for older programs. */
function tokenOf({ headers: { authorization }, query }: HttpRequest): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  return bearer ?? query.get('access_token') ?? undefined
}

/** @throws MatrixError `M_NOT_JSON`, `M_BAD_JSON`, `M_TOO_LARGE` */
export async function readBody<T>(request: HttpRequest, schema: z.ZodType<T>): Promise<T> {
  const value = await readJson(request)
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new MatrixError('M_BAD_JSON', `${issue?.path.join('.') || 'The body'}: ${issue?.message ?? 'not as expected'}`)
}

async function readJson({ body, method }: HttpRequest): Promise<unknown> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of body) {
    bytes += piece.length
    if (bytes > limits.matrixBodyBytesMax) throw new MatrixError('M_TOO_LARGE', 'Larger than is taken here')
    pieces.push(piece)
  }
  const text = toUtf8(Buffer.concat(pieces))
  if (text === undefined) throw new MatrixError('M_NOT_JSON', 'The body is no UTF-8')
  // programs leave out what would be empty
  if (text.trim() === '' && method !== 'PUT') return {}
  if (isTooDeep(text, limits.matrixJsonDepthMax)) throw new MatrixError('M_BAD_JSON', 'Nested too deeply')
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new MatrixError('M_NOT_JSON', 'The body is no JSON')
  }
}

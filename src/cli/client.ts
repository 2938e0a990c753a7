/** Talks to a running gateway over its control socket. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { operationVerbs, type OperationContext, type Operations } from '../core/control.ts'
import { answerSchema, type ControlAnswer, jsonLines } from '../core/control-wire.ts'
import { MyceliumError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { UsageError } from './errors.ts'

export interface Client extends AsyncDisposable {
  readonly operations: Operations
}

/** `undefined` when no gateway answers at this path. */
export async function connectControl(socketPath: string): Promise<Client | undefined> {
  const socket = connect(socketPath)
  try {
    await once(socket, 'connect')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ECONNREFUSED') return undefined
    throw error
  }
  const calls = new Calls(socket)
  return {
    operations: calls.operations(),
    async [Symbol.asyncDispose]() {
      socket.destroy()
      await calls.ended
    },
  }
}

interface Call {
  readonly context: OperationContext
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

class Calls {
  readonly #socket: Socket
  readonly #open = new Map<number, Call>()
  #nextId = 1
  /** Resolves when the connection has ended, whatever the reason. */
  readonly ended: Promise<void>

  constructor(socket: Socket) {
    this.#socket = socket
    this.ended = this.#receive()
  }

  operations(): Operations {
    const entries = operationVerbs.map((verb) => [
      verb,
      async (params: unknown, context: OperationContext) => await this.#call(verb, params, context),
    ])
    return Object.fromEntries(entries) as Operations
  }

  async #call(verb: string, params: unknown, context: OperationContext): Promise<unknown> {
    context.signal.throwIfAborted()
    const id = this.#nextId
    this.#nextId += 1
    return await new Promise((resolve, reject) => {
      const hangUp = (): void => void this.#socket.destroy() // the server takes it as cancelled
      context.signal.addEventListener('abort', hangUp, { once: true })
      this.#open.set(id, { context, resolve, reject })
      this.#socket.write(`${JSON.stringify({ id, verb, params })}\n`)
      if (context.input !== undefined) void this.#send(id, context.input)
    })
  }

  /** At the gateway's pace; ends early when the gateway has answered. */
  async #send(id: number, input: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const bytes of input) {
        for (let at = 0; at < bytes.length; at += limits.transferPieceBytes) {
          const piece = Buffer.from(bytes.subarray(at, at + limits.transferPieceBytes)).toString('base64')
          if (!this.#socket.write(`${JSON.stringify({ id, input: piece, isLast: false })}\n`))
            await drainedOrClosed(this.#socket)
        }
        if (!this.#open.has(id)) return
      }
      this.#socket.write(`${JSON.stringify({ id, isLast: true })}\n`)
    } catch (error) {
      this.#fail(id, error)
    }
  }

  /** What this side cannot go on with ends the call on the other side too. */
  #fail(id: number, error: unknown): void {
    const call = this.#open.get(id)
    this.#open.delete(id)
    call?.reject(error instanceof Error ? error : new Error('stream failed', { cause: error }))
    this.#socket.destroy()
  }

  async #receive(): Promise<void> {
    try {
      for await (const line of jsonLines(this.#socket, limits.controlAnswerBytesMax)) {
        await this.#settle(answerSchema.parse(JSON.parse(line)))
      }
    } catch {
      this.#socket.destroy()
    }
    for (const call of this.#open.values()) call.reject(new MyceliumError('not-running', { reason: 'hung up' }))
    this.#open.clear()
  }

  async #settle(answer: ControlAnswer): Promise<void> {
    const call = this.#open.get(answer.id)
    if (call === undefined) return
    if ('output' in answer) {
      try {
        await call.context.output?.(Buffer.from(answer.output, 'base64'))
      } catch (error) {
        this.#fail(answer.id, error)
      }
      return
    }
    if ('progress' in answer) {
      call.context.progress({
        step: answer.progress.step,
        ...(answer.progress.done === undefined ? {} : { done: answer.progress.done }),
        ...(answer.progress.total === undefined ? {} : { total: answer.progress.total }),
      })
      return
    }
    this.#open.delete(answer.id)
    if ('error' in answer) call.reject(failure(answer.error))
    else call.resolve(answer.result)
  }
}

async function drainedOrClosed(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const events = ['drain', 'close'] as const
  for (const event of events) socket.on(event, resolve)
  if (!socket.destroyed) await promise
  for (const event of events) socket.off(event, resolve)
}

function failure({ code, details }: Extract<ControlAnswer, { error: unknown }>['error']): Error {
  if (code === 'usage') return new UsageError(`not a valid value: ${details['at'] ?? 'parameters'}`)
  if (code === 'internal') return new Error('the gateway failed inside; its log has a line about it')
  return new MyceliumError(code, details)
}

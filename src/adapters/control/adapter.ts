/**
 * Server of the control socket: what the command line asks of the running gateway. A Unix socket that only the owner
 * of the home can reach; every request is bounded, validated, and may be cancelled by hanging up.
 */
import { once } from 'node:events'
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../core/ambient.ts'
import { ByteStream } from '../../core/byte-stream.ts'
import { type OperationContext, operationParams, type Operations, type Verb } from '../../core/control.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  inputSchema,
  jsonLines,
  requestSchema,
} from '../../core/control-wire.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

export interface ControlOptions {
  readonly socketPath: string
  readonly operations: Operations
  readonly log: Log
}

/** The caller holds the home's lock, so that a socket found at this path is a dead one. */
export async function openControl({ socketPath, operations, log }: ControlOptions): Promise<AsyncDisposable> {
  rmSync(socketPath, { force: true })
  const open = new Set<Socket>()
  const running = new Set<Promise<void>>()
  const server = createServer((socket) => {
    if (open.size >= limits.controlConnectionsMax) {
      socket.destroy()
      return
    }
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    void serve(socket, running, { operations, log })
  })
  await listen(server, socketPath)
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      await Promise.race([Promise.all(running), sleep(limits.controlDrainMs, undefined, { ref: false })])
      for (const socket of open) socket.destroySoon()
      const forced = setTimeout(() => open.forEach((socket) => socket.destroy()), limits.controlDrainMs)
      await closed
      clearTimeout(forced)
    },
  }
}

async function listen(server: Server, socketPath: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // No moment at which others can connect. `listen` binds before it returns, and the mask is the whole process's:
    // any longer, and folders that others make now could not be entered.
    const previous = process.umask(0o177)
    try {
      server.listen(socketPath, resolve)
    } finally {
      process.umask(previous)
    }
  })
  chmodSync(socketPath, 0o600)
}

async function serve(
  socket: Socket,
  running: Set<Promise<void>>,
  { operations, log }: Pick<ControlOptions, 'operations' | 'log'>,
): Promise<void> {
  const gone = new AbortController()
  socket.once('close', () => gone.abort(new MyceliumError('shutting-down')))
  socket.on('error', () => socket.destroy())
  let own = 0
  const inputs = new Map<number, ByteStream>()
  socket.once('close', () => inputs.forEach((input) => input.fail(new MyceliumError('connection-closed'))))
  socket.setTimeout(limits.controlIdleMs, () => {
    if (own === 0) socket.destroy()
  })
  const send = (answer: ControlAnswer): void => {
    if (!socket.writable) return
    socket.write(`${JSON.stringify(answer)}\n`)
  }
  /** A reader that has stopped is hung up on: a backup that waits for it keeps every page and file of the store. */
  const drained = async (): Promise<void> => {
    if (!socket.writableNeedDrain) return
    const stalled = setTimeout(() => socket.destroy(), limits.controlStallMs)
    try {
      await once(socket, 'drain', { signal: gone.signal })
    } finally {
      clearTimeout(stalled)
    }
  }
  const output = async (id: number, bytes: Uint8Array): Promise<void> => {
    send({ id, output: Buffer.from(bytes).toString('base64') })
    await drained()
    gone.signal.throwIfAborted()
  }
  try {
    for await (const line of jsonLines(socket, limits.controlRequestBytesMax)) {
      const value = parseJson(line)
      const more = inputSchema.safeParse(value).data
      if (more !== undefined) {
        const bytes = more.input === undefined ? undefined : Buffer.from(more.input, 'base64')
        await inputs
          .get(more.id)
          ?.push(bytes, more.isLast)
          .catch(() => {}) // what a request that has ended did not read is dropped
        continue
      }
      const request = requestSchema.safeParse(value).data
      if (request === undefined || own >= limits.controlRequestsMax || inputs.has(request.id)) {
        socket.destroy()
        return
      }
      await drained() // who does not read answers asks nothing more
      own += 1
      const { id } = request
      const input = new ByteStream()
      inputs.set(id, input)
      const streams = { input, output: async (bytes: Uint8Array) => await output(id, bytes) }
      const answered = answer(request, operations, { signal: gone.signal, send, log, streams }).finally(() => {
        own -= 1
        inputs.delete(id)
        input.fail(new MyceliumError('connection-closed')) // nobody reads it any more
        running.delete(answered)
      })
      running.add(answered)
    }
  } catch {
    socket.destroy() // an endless line, or the other side went away
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

const isVerb = (text: string): text is Verb => Object.hasOwn(operationParams, text)

async function answer(
  { id, verb, params }: ControlRequest,
  operations: Operations,
  {
    signal,
    send,
    log,
    streams,
  }: {
    signal: AbortSignal
    send: (answer: ControlAnswer) => void
    log: Log
    streams: Required<Pick<OperationContext, 'input' | 'output'>>
  },
): Promise<void> {
  const refuse = (at: string): void => send({ id, error: { code: 'usage', details: { at } } })
  if (!isVerb(verb)) return refuse('verb')
  const parsed = operationParams[verb].safeParse(params)
  if (!parsed.success) return refuse(parsed.error.issues[0]!.path.join('.') || 'params')
  try {
    const context: OperationContext = { signal, progress: (progress) => send({ id, progress }), ...streams }
    // `parsed` came from this verb's own schema; TypeScript cannot follow the pairing through the index.
    const run = operations[verb] as (params: unknown, context: OperationContext) => Promise<unknown>
    send({ id, result: await run(parsed.data, context) })
  } catch (error) {
    if (error instanceof MyceliumError) {
      send({ id, error: { code: error.code, details: error.details } })
      return
    }
    log.error('control.failed', { verb, error: error instanceof Error ? error.name : typeof error })
    send({ id, error: { code: 'internal', details: {} } })
  }
}

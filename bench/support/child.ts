/** A program of its own process that answers questions over IPC and may tell of things unasked; it may be killed. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What a child sends: that it is ready, an answer, or something unasked. */
export type FromChild<Event> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly why: string }
  | { readonly kind: 'event'; readonly event: Event }

/** The child was killed, or ended by itself, before it answered. */
export class ChildEnded extends Error {}

export interface Child<Request> extends AsyncDisposable {
  /** @throws ChildEnded, or an Error with what the child says */
  ask<T>(request: Request): Promise<T>
  /** At once, as `kill -9`; resolves when everything that it said before has been heard. */
  kill(): Promise<void>
  /** Its connections stay, and it does and says nothing any more. */
  freeze(): void
}

export interface ChildOptions<Event> {
  /** File name in this folder. */
  readonly program: string
  readonly args: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly onEvent?: (event: Event) => void
}

/** Resolves when the child is ready. @throws an Error when it ends before that */
export async function startChild<Request, Event = never>(options: ChildOptions<Event>): Promise<Child<Request>> {
  const child = fork(fileURLToPath(new URL(options.program, import.meta.url)), [...options.args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...options.environment },
  })
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  const ready = Promise.withResolvers<void>()
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const heardAll = new Promise<void>((resolve) => child.once('disconnect', () => resolve()))
  const end = async (): Promise<void> => {
    await exited
    await heardAll
    const why = `${options.args[1] ?? options.program} ended (${child.signalCode ?? child.exitCode})`
    ready.reject(new Error(`${why} before it was ready`))
    for (const { reject } of waiting.values()) reject(new ChildEnded(why))
    waiting.clear()
  }
  const ended = end()
  child.on('message', (message: FromChild<Event>) => {
    if (message.kind === 'ready') ready.resolve()
    else if (message.kind === 'event') options.onEvent?.(message.event)
    else {
      const { resolve, reject } = waiting.get(message.id)!
      waiting.delete(message.id)
      if (message.kind === 'answer') resolve(message.value)
      else reject(new Error(message.why))
    }
  })
  await ready.promise
  let next = 0
  return {
    async ask<T>(request: Request) {
      if (!child.connected) throw new ChildEnded('not running')
      next += 1
      const answer = Promise.withResolvers<unknown>()
      waiting.set(next, answer)
      child.send({ ...request, id: next }, () => {}) // a child that has just died is heard of by its end
      return (await answer.promise) as T
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    freeze: () => void child.kill('SIGSTOP'),
    async [Symbol.asyncDispose]() {
      if (child.connected) child.kill('SIGTERM')
      await ended
    },
  }
}

/** The child's half: answers each request, and ends with its parent. */
export function serveParent(answer: (request: never) => Promise<unknown>): void {
  const send = (message: FromChild<unknown>): void => void process.send!(message)
  process.on('message', (message: { readonly id: number }) => {
    const { id } = message
    answer(message as never).then(
      (value) => send({ kind: 'answer', id, value }),
      (error: unknown) => send({ kind: 'failed', id, why: String(error) }),
    )
  })
  process.once('SIGTERM', () => process.exit(0))
  process.once('disconnect', () => process.exit(0))
  send({ kind: 'ready' })
}

export const tellParent = (event: unknown): void =>
  void process.send!({ kind: 'event', event } satisfies FromChild<unknown>)

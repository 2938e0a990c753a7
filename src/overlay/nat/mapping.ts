/** What the protocols that ask a router for a port have in common. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Router } from './default-gateway.ts'

export interface MappingRequest {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  /** 12 random bytes, the same for one mapping from beginning to end (RFC 6887 §11.1). */
  readonly nonce: Uint8Array
  /** 0 takes the mapping back. */
  readonly lifetimeSeconds: number
}

export interface Mapping {
  readonly externalPort: number
  /** As the router says; it may be private itself. */
  readonly externalHost: string
  /** How long the router keeps it. */
  readonly lifetimeSeconds: number
}

/** Asks one router in one protocol. @throws `unreachable` */
export type Mapper = (router: Router, request: MappingRequest, signal: AbortSignal) => Promise<Mapping>

/** NAT-PMP and PCP. */
const mappingPort = 5351

/**
 * One question to the router and the answer that `read` accepts, asked again where it stays out. Nobody but the router
 * is heard. @throws `unreachable`
 */
export async function askRouter<T>(
  router: Router,
  question: Uint8Array,
  read: (answer: Uint8Array) => T | undefined,
  signal: AbortSignal,
): Promise<T> {
  const socket = createSocket('udp4')
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  promise.catch(() => {}) // it may fail before anybody waits for it
  const stop = AbortSignal.any([signal, AbortSignal.timeout(limits.mappingAnswerMsMax)])
  const giveUp = (): void => reject(new MyceliumError('unreachable', { reason: 'the router does not answer' }))
  stop.addEventListener('abort', giveUp, { once: true })
  socket.on('error', giveUp)
  socket.on('message', (bytes) => {
    try {
      const answer = read(bytes)
      if (answer !== undefined) resolve(answer)
    } catch (error) {
      reject(error)
    }
  })
  const timers: NodeJS.Timeout[] = []
  try {
    socket.connect(mappingPort, router.host)
    await once(socket, 'connect', { signal: stop })
    for (const atMs of [0, 250, 750, 1750]) timers.push(setTimeout(() => socket.send(question, () => {}), atMs))
    return await promise
  } finally {
    for (const timer of timers) clearTimeout(timer)
    stop.removeEventListener('abort', giveUp)
    socket.close()
  }
}

/** @throws always */
export function refusedBy(protocol: string, code: number): never {
  throw new MyceliumError('unreachable', { reason: `the router refuses (${protocol} ${code})` })
}

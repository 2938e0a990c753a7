/**
 * Has the router of the local network let other gateways in, where it does that: PCP, else NAT-PMP, else UPnP. Renewed in
 * time, asked for anew on another network, taken back at the end.
 */
import type { Ambient } from '../../core/ambient.ts'
import type { Locator } from '../../core/delivery/ports.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { isGlobal, type OwnAddress, parseLocator } from '../dial-policy.ts'
import type { Listening } from '../own-addresses.ts'
import { defaultRouter, type Router } from './default-gateway.ts'
import type { Mapper, MappingRequest } from './mapping.ts'
import { natPmp } from './nat-pmp.ts'
import { nonceBytes, pcp } from './pcp.ts'
import { upnp } from './upnp.ts'
import { reasonOf } from '../reason.ts'

export const mappers = { pcp, 'nat-pmp': natPmp, upnp } as const
export type MappingProtocol = keyof typeof mappers

export interface PortMappingParts {
  readonly ambient: Ambient
  readonly ownAddresses: () => readonly OwnAddress[]
  /** What is to be reached. */
  readonly listening: () => readonly Listening[]
  readonly onChanged: () => void
}

interface Opened {
  readonly router: Router
  readonly by: MappingProtocol
  readonly locators: readonly Locator[]
  readonly requests: readonly MappingRequest[]
}

export class PortMapping implements AsyncDisposable {
  readonly #parts: PortMappingParts
  readonly #stopped = new AbortController()
  /** By transport and port: of each listener one. */
  readonly #nonces = new Map<string, Uint8Array>()
  #opened: Opened | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined

  constructor(parts: PortMappingParts) {
    this.#parts = parts
  }

  /** By which protocol the router let others in, if it did. */
  get by(): MappingProtocol | undefined {
    return this.#opened?.by
  }

  /** Where others come in: none where the router's own outside address is not public. */
  locators(): readonly Locator[] {
    return this.#opened?.locators ?? []
  }

  /** At start, and when the network is another one. */
  refresh(): void {
    if (this.#stopped.signal.aborted || this.#running !== undefined) return
    clearTimeout(this.#timer)
    this.#running = this.#openAndWait()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new MyceliumError('unreachable', { reason: 'stopping' }))
    clearTimeout(this.#timer)
    await this.#running
    if (this.#opened === undefined) return
    const { router, by, requests } = this.#opened
    const signal = AbortSignal.timeout(limits.mappingEndMs)
    const back = requests.map(async (request) => await mappers[by](router, { ...request, lifetimeSeconds: 0 }, signal))
    await Promise.allSettled(back)
  }

  async #openAndWait(): Promise<void> {
    let againMs: number = limits.mappingRetryMs
    try {
      againMs = await this.#open()
    } catch (error) {
      this.#parts.ambient.log.debug('overlay.no-port-mapping', { reason: reasonOf(error) })
      this.#set(undefined)
    }
    this.#running = undefined
    if (!this.#stopped.signal.aborted) this.#timer = setTimeout(() => this.refresh(), againMs).unref()
  }

  /** @returns when to ask again, milliseconds @throws `unreachable` */
  async #open(): Promise<number> {
    const router = await defaultRouter(this.#parts.ownAddresses())
    if (router === undefined) throw new MyceliumError('unreachable', { reason: 'no router' })
    const listening = this.#parts.listening().filter(({ family, transport }) => family === 'ipv4' && transport !== 'ws')
    const requests = listening.map(({ port, transport }): MappingRequest => ({
      protocol: transport === 'quic' ? 'udp' : 'tcp',
      port,
      nonce: this.#nonceOf(`${transport} ${port}`),
      lifetimeSeconds: limits.mappingSeconds,
    }))
    const [first, ...others] = requests
    if (first === undefined) throw new MyceliumError('unreachable', { reason: 'nothing to be reached' })
    const { by, mapping } = await this.#firstThatAnswers(router, first)
    const rest = await Promise.all(
      others.map(async (request) => await mappers[by](router, request, this.#stopped.signal).catch(() => undefined)),
    )
    const all = [mapping, ...rest]
    const locators = all.flatMap((one, index) => {
      if (one === undefined) return []
      const suffix = requests[index]!.protocol === 'udp' ? `udp/${one.externalPort}/quic-v1` : `tcp/${one.externalPort}`
      const locator = parseLocator(`/ip4/${one.externalHost}/${suffix}`)
      return locator !== undefined && isGlobal(locator) ? [locator.locator] : []
    })
    this.#set({ router, by, locators, requests: requests.filter((_, index) => all[index] !== undefined) })
    this.#parts.ambient.log.info('overlay.port-mapped', { by, ports: requests.length })
    return Math.max(limits.mappingRenewMsMin, (mapping.lifetimeSeconds * 1000) / 2)
  }

  /** The one that worked before is asked first. @throws `unreachable` of the last one */
  async #firstThatAnswers(
    router: Router,
    request: MappingRequest,
  ): Promise<{ by: MappingProtocol; mapping: Awaited<ReturnType<Mapper>> }> {
    const names = Object.keys(mappers) as MappingProtocol[]
    let failure: unknown
    for (const by of new Set([this.#opened?.by ?? 'pcp', ...names])) {
      this.#stopped.signal.throwIfAborted()
      try {
        return { by, mapping: await mappers[by](router, request, this.#stopped.signal) }
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  #nonceOf(name: string): Uint8Array {
    const nonce = this.#nonces.get(name) ?? this.#parts.ambient.random.bytes(nonceBytes)
    this.#nonces.set(name, nonce)
    return nonce
  }

  #set(opened: Opened | undefined): void {
    const before = this.locators().join(' ')
    this.#opened = opened
    if (this.locators().join(' ') !== before) this.#parts.onChanged()
  }
}

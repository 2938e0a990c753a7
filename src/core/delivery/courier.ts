/**
 * Keeps one contact of one account reachable: fetches what is missing to write to it, shakes hands with each of its
 * devices, and holds the link up; tries fast while the contact is fresh and slowly after, at once when it is seen.
 */
import type { Ambient } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import { type Identity, short } from '../ids.ts'
import { limits } from '../limits.ts'
import type { FirstContact } from './first-contact.ts'
import type { LinkHub } from './link-hub.ts'
import type { Keyring, PeerContact, PeerDevice } from './needs.ts'
import type { GatewayAddress } from './ports.ts'
import { reconnectDelayMs } from './retry.ts'
import type { Pair, SessionBook } from './session-book.ts'

interface CourierParts {
  readonly keyring: Keyring
  readonly book: SessionBook
  readonly hub: LinkHub
  readonly firstContact: FirstContact
  readonly ambient: Ambient
  /** One device of it did not answer. */
  readonly onUnreached: (pair: Pair) => void
  /** The inviter did not answer. */
  readonly onUnmet: (contact: PeerContact) => void
}

export interface CourierStatus {
  readonly state: 'connected' | 'trying' | 'waiting' | 'idle'
  readonly attempts: number
  /** Unix milliseconds; when `waiting`. */
  readonly nextAttemptAtMs: number | undefined
  readonly lastError: string | undefined
}

export class Courier implements AsyncDisposable {
  readonly account: Identity
  readonly contact: Identity
  readonly #parts: CourierParts
  readonly #stop = new AbortController()
  #attempting = new AbortController()
  #running: Promise<void> | undefined
  #status: CourierStatus = { state: 'idle', attempts: 0, nextAttemptAtMs: undefined, lastError: undefined }
  #wake: (() => void) | undefined
  /** A link was lost while an attempt was under way, perhaps after the attempt had seen it. */
  #hasLost = false
  /** A wake-up that came while an attempt was under way. */
  #wokenEarly = false

  constructor(account: Identity, contact: Identity, parts: CourierParts) {
    this.account = account
    this.contact = contact
    this.#parts = parts
  }

  get status(): CourierStatus {
    return this.#status
  }

  /** There is something to send, or the link was lost: bring it up. Does nothing while it is being tried. */
  start(): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (this.#hasLost) this.start()
    })
  }

  /** The link to a device of it is gone. */
  lost(): void {
    this.#hasLost = true
    this.start()
  }

  /** The contact was seen, or the user asked: no more waiting. */
  nudge(): void {
    this.#wokenEarly = true
    this.#wake?.()
    this.start()
  }

  /** What is being tried has become pointless: begin anew. */
  restart(): void {
    this.#attempting.abort()
    this.nudge()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wake?.()
    await this.#running
  }

  async #run(): Promise<void> {
    for (let attempts = 1; !this.#stop.signal.aborted; attempts += 1) {
      this.#wokenEarly = false
      this.#hasLost = false
      this.#attempting = new AbortController()
      this.#status = { ...this.#status, state: 'trying', attempts, nextAttemptAtMs: undefined }
      const failure = (await this.#attempt()) ?? (this.#hasLost ? 'unreachable' : undefined)
      if (failure === undefined) {
        this.#status = { state: 'connected', attempts: 0, nextAttemptAtMs: undefined, lastError: undefined }
        return
      }
      const delayMs = reconnectDelayMs(attempts, this.#parts.ambient.random.bytes(1)[0]! / 256)
      const nextAttemptAtMs = Math.round(this.#parts.ambient.clock.nowMs() + delayMs)
      this.#status = { state: 'waiting', attempts, nextAttemptAtMs, lastError: failure }
      this.#parts.ambient.log.debug('contact.waiting', { contact: short(this.contact), attempts, code: failure })
      await this.#pause(delayMs)
    }
  }

  /** The failure's code; `undefined` when every device that can be reached is connected. */
  async #attempt(): Promise<string | undefined> {
    try {
      const contact = this.#parts.keyring.contact(this.account, this.contact)
      // nobody is called who only asked to be let in: strangers come here
      if (contact === undefined || contact.state === 'blocked' || contact.state === 'request') return undefined
      const signal = AbortSignal.any([
        this.#stop.signal,
        this.#attempting.signal,
        AbortSignal.timeout(limits.attemptMs),
      ])
      const known = contact.devices.length > 0 ? contact : await this.#introduce(contact, signal)
      return await this.#connectAll(known, signal)
    } catch (error) {
      return codeOf(error, this.#parts.ambient)
    }
  }

  async #introduce(contact: PeerContact, signal: AbortSignal): Promise<PeerContact> {
    const at = contact.invitation?.at
    if (at === undefined) throw new MyceliumError('unreachable')
    try {
      await this.#parts.firstContact.fetchBundle(this.account, contact, at, { signal })
    } catch (error) {
      this.#parts.onUnmet(contact)
      throw error
    }
    return this.#parts.keyring.contact(this.account, this.contact) ?? contact
  }

  /** One device is enough to call the contact connected; the others are tried again when that one is lost. */
  async #connectAll(contact: PeerContact, signal: AbortSignal): Promise<string | undefined> {
    const failures = await Promise.all(contact.devices.map((device) => this.#connect(contact, device, signal)))
    return failures.includes(undefined) ? undefined : (failures[0] ?? 'unreachable')
  }

  async #connect(contact: PeerContact, device: PeerDevice, signal: AbortSignal): Promise<string | undefined> {
    const pair: Pair = {
      account: this.account,
      device: this.#parts.keyring.own(this.account).party.device,
      peer: this.contact,
      peerDevice: device.device,
    }
    const failure = await this.#reach(pair, contact, device, signal)
    if (failure !== undefined) this.#parts.onUnreached(pair)
    return failure
  }

  async #reach(pair: Pair, contact: PeerContact, device: PeerDevice, signal: AbortSignal): Promise<string | undefined> {
    const { book, hub, firstContact, ambient } = this.#parts
    const at: GatewayAddress | undefined = device.where
    if (at === undefined) return 'unreachable'
    try {
      if (!book.isUsable(pair)) await firstContact.shakeHands(this.account, contact, device, { signal })
      await hub.connect(pair, at, { signal })
      return undefined
    } catch (error) {
      const code = codeOf(error, ambient)
      if (code !== 'session-unknown') return code
    }
    // the gateway is there but does not know the session: begin anew, as often as the rules allow
    try {
      await firstContact.shakeHands(this.account, contact, device, { signal })
      hub.forget(pair)
      await hub.connect(pair, at, { signal })
      return undefined
    } catch (error) {
      return codeOf(error, ambient)
    }
  }

  async #pause(ms: number): Promise<void> {
    if (this.#wokenEarly || this.#stop.signal.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }
}

function codeOf(error: unknown, { log }: Ambient): string {
  if (error instanceof MyceliumError) return error.code
  if (error instanceof DOMException) return 'timeout'
  log.error('contact.unexpected', { name: error instanceof Error ? error.name : typeof error })
  return 'unexpected'
}

/**
 * Taking a new device in, and being taken in: links that were made here and what came of them, and the one account that
 * this gateway is about to join. States live for ten minutes, in memory; only the end of it is durable.
 */
import type { Accounts } from '../account/accounts.ts'
import type { Ambient } from '../ambient.ts'
import { toHex } from '../bytes.ts'
import { decode, encode } from '../codec.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { isActive, verifyLog } from '../identity/account-log.ts'
import { type VerifiedBundle, verifyBundle } from '../identity/bundle.ts'
import { describeDevice, type DeviceSecrets, makeDevice } from '../identity/device.ts'
import { type DeviceLink, newLinkSecret, parseDeviceLink, writeDeviceLink } from '../identity/device-link.ts'
import type { SignedEntry } from '../identity/log-entry.ts'
import {
  type AccountShown,
  type HandedState,
  Joiner,
  type JoinerSays,
  linkIdOf,
  Linker,
  type LinkerSays,
  type LinkingAsk,
  linkingAnswerBytesMax,
  linkingAskCodec,
  type Reveal,
} from '../identity/linking.ts'
import { limits } from '../limits.ts'
import type { Replication } from '../replica/replication.ts'
import type { AskHandler, Overlay } from './ports.ts'

interface LinkingParts {
  readonly overlay: Overlay
  readonly accounts: Accounts
  readonly ambient: Ambient
  readonly replication: Replication
}

/** A link that was made here. */
interface Offer {
  readonly account: Identity
  readonly secret: Uint8Array
  readonly expiresAtMs: number
  linker: Linker | undefined
  revealed: Reveal | undefined
  digits: string | undefined
  /** What this side's person has said. */
  said: 'same' | 'different' | undefined
  pages: readonly (readonly HandedState[])[] | undefined
  /** The new device was added to the log, or both sides know that it will not be. */
  state: 'open' | 'joined' | 'failed'
}

/** An account that this gateway may join. */
interface Join {
  readonly link: DeviceLink
  readonly joiner: Joiner
  readonly device: DeviceSecrets
  readonly account: AccountShown
  readonly name: string
}

/** What a new device was given when it was let in. */
export interface HandedOver {
  readonly entries: readonly SignedEntry[]
  readonly device: DeviceSecrets
  readonly account: AccountShown
  readonly name: string
  /** Contacts and folders. */
  readonly states: readonly HandedState[]
  readonly bundle: { readonly encoded: Uint8Array; readonly verified: VerifiedBundle }
}

export class Linking {
  readonly #parts: LinkingParts
  readonly #offers = new Map<string, Offer>()
  readonly #changed = new Set<() => void>()
  #join: Join | undefined

  constructor(parts: LinkingParts) {
    this.#parts = parts
  }

  // The side that takes a device in

  /** A link for one new device, in the place of one that was made before. */
  offer(account: Identity): { readonly link: string; readonly expiresAtMs: number } {
    const { accounts, ambient, overlay } = this.#parts
    const { state, device } = accounts.get(account)
    if (state.devices.get(device.id)?.grants.link !== true || !isActive(state, device.id))
      throw new MyceliumError('device-not-permitted')
    for (const [id, offer] of this.#offers) if (offer.account === account) this.#offers.delete(id)
    const secret = newLinkSecret(ambient.random)
    const expiresAtMs = Math.floor((ambient.clock.nowMs() + limits.deviceLinkMs) / 60_000) * 60_000 + 60_000
    this.#offers.set(toHex(linkIdOf(secret)), {
      account,
      secret,
      expiresAtMs,
      linker: undefined,
      revealed: undefined,
      digits: undefined,
      said: undefined,
      pages: undefined,
      state: 'open',
    })
    return {
      link: writeDeviceLink({ secret, expiresAtMs, gateway: overlay.self, locators: overlay.locators() }),
      expiresAtMs,
    }
  }

  /** Waits until a new device has come with the link. @throws `link-invalid` when there is none, or it is over */
  async digits(
    account: Identity,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<{ readonly digits: string; readonly name: string }> {
    for (;;) {
      const { digits, revealed, state } = this.#offerOf(account)
      if (state === 'failed') throw new MyceliumError('link-invalid', { reason: 'failed' })
      if (digits !== undefined && revealed !== undefined) return { digits, name: revealed.name }
      await this.#nextChange(signal)
    }
  }

  /**
   * This side's person has spoken. Waits for the other side's. @returns the new device
   * @throws `not-confirmed`, `link-invalid`
   */
  async end(account: Identity, isSame: boolean, { signal }: { readonly signal: AbortSignal }): Promise<DeviceId> {
    const offer = this.#offerOf(account)
    if (offer.revealed === undefined) throw new MyceliumError('link-invalid', { reason: 'nobody came' })
    offer.said = isSame ? 'same' : 'different'
    if (!isSame) offer.state = 'failed'
    while (offer.state === 'open') {
      this.#offerOf(account) // its time may be over
      await this.#nextChange(signal)
    }
    if (offer.state === 'failed') throw new MyceliumError('not-confirmed')
    return offer.revealed.device
  }

  #offerOf(account: Identity): Offer {
    const nowMs = this.#parts.ambient.clock.nowMs()
    const found = [...this.#offers.values()].find((offer) => offer.account === account)
    if (found === undefined || found.expiresAtMs <= nowMs)
      throw new MyceliumError('link-invalid', { reason: 'expired' })
    return found
  }

  readonly answer: AskHandler = async (request) => {
    try {
      return await this.#answer(decode(linkingAskCodec, Uint8Array.from(request)))
    } catch (error) {
      if (!(error instanceof MyceliumError) || hasCode(error, 'store-corrupt') || hasCode(error, 'disk-full'))
        throw error
      this.#parts.ambient.log.info('linking.refused', { code: error.code })
      return undefined
    } finally {
      for (const wake of this.#changed) wake()
    }
  }

  async #answer(ask: LinkingAsk): Promise<Uint8Array | undefined> {
    const offer = this.#offers.get(toHex(ask.link))
    const { ambient } = this.#parts
    if (offer === undefined || offer.expiresAtMs <= ambient.clock.nowMs()) return undefined
    if (ask.kind === 'hello') {
      // one guess: whoever comes first with the link is the one that both people compare
      offer.linker ??= new Linker(offer.secret, ask, ambient.random)
      return offer.linker.isFor(ask) ? offer.linker.welcome : undefined
    }
    if (offer.linker === undefined) return undefined
    return offer.linker.say(await this.#react(offer, offer.linker, ask.sealed))
  }

  async #react(offer: Offer, linker: Linker, sealed: Uint8Array): Promise<LinkerSays> {
    const said = linker.hear(sealed)
    const { accounts, overlay } = this.#parts
    if (said.kind === 'reveal') {
      if (offer.revealed === undefined) offer.digits = linker.digits(said)
      offer.revealed ??= said
      const { state, device, address, localName, displayName, identity } = accounts.get(offer.account)
      const { grants } = state.devices.get(device.id)!
      return { kind: 'account', identity, rootKey: state.rootKey, grants, address, localName, displayName }
    }
    if (said.kind === 'refuse') offer.state = 'failed'
    if (offer.state === 'failed' || said.kind === 'refuse') return { kind: 'refused' }
    if (said.kind === 'page') {
      if (offer.said !== 'same') return { kind: 'waiting' }
      await this.#parts.replication.begin(offer.account)
      offer.pages ??= pagesOf(this.#parts.replication.handOver(offer.account))
      const next = said.at + 1 < offer.pages.length ? said.at + 1 : undefined
      return { kind: 'page', states: offer.pages[said.at] ?? [], next }
    }
    if (said.description.id !== offer.revealed?.device) throw new MyceliumError('peer-misbehaved', { what: 'device' })
    if (offer.said !== 'same' || offer.pages === undefined) return { kind: 'waiting' }
    await accounts.addDevice(offer.account, said.description, offer.revealed.name)
    offer.state = 'joined'
    const here = { gateway: overlay.self, locators: overlay.locators() }
    return { kind: 'joined', entries: accounts.entries(offer.account), bundle: accounts.bundle(offer.account, here) }
  }

  // The new device's side

  /**
   * Comes with a link: the digits to be compared, and whose account it is. @throws `link-invalid`, `unreachable`,
   * `peer-misbehaved`, `address-taken` when the account is here already
   */
  async join(
    text: string,
    name: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<{ readonly digits: string; readonly account: AccountShown }> {
    const { ambient, accounts } = this.#parts
    const link = parseDeviceLink(text)
    if (link.expiresAtMs <= ambient.clock.nowMs()) throw new MyceliumError('link-invalid', { reason: 'expired' })
    const device = makeDevice(ambient.random)
    const keys = { device: device.id, dhPublic: device.dh.publicKey }
    const joiner = new Joiner(link.secret, keys, ambient.random)
    const welcome = await this.#ask(link, encode(linkingAskCodec, joiner.hello), signal)
    const { digits, reveal } = joiner.welcomed(welcome, name)
    const account = joiner.hear(await this.#ask(link, reveal, signal))
    if (account.kind !== 'account') throw new MyceliumError('peer-misbehaved', { what: 'account' })
    if (accounts.has(account.identity)) throw new MyceliumError('address-taken')
    this.#join = { link, joiner, device, account, name }
    return { digits, account }
  }

  /**
   * This side's person has spoken. Waits until the other side has let the device in. @throws `not-confirmed`,
   * `link-invalid` when nothing was joined or the time is over, `unreachable`, `peer-misbehaved`
   */
  async joined(isSame: boolean, { signal }: { readonly signal: AbortSignal }): Promise<HandedOver> {
    const join = this.#join
    if (join === undefined) throw new MyceliumError('link-invalid', { reason: 'nothing joined' })
    const { link, joiner, device, account, name } = join
    if (!isSame) {
      this.#join = undefined
      await this.#ask(link, joiner.say({ kind: 'refuse' }), signal).catch(() => {})
      throw new MyceliumError('not-confirmed')
    }
    const states: HandedState[] = []
    for (let at: number | undefined = 0; at !== undefined;) {
      const page: Extract<LinkerSays, { kind: 'page' }> = await this.#sayUntil(
        join,
        { kind: 'page', at },
        'page',
        signal,
      )
      states.push(...page.states)
      at = page.next
    }
    const description = describeDevice(device, account.rootKey, account.grants)
    const said = await this.#sayUntil(join, { kind: 'finish', description }, 'joined', signal)
    return { ...this.#verified(join, said), device, account, name, states }
  }

  /** Again and again until the other side's person has spoken. */
  async #sayUntil<const Kind extends 'page' | 'joined'>(
    { link, joiner }: Join,
    what: JoinerSays,
    kind: Kind,
    signal: AbortSignal,
  ): Promise<Extract<LinkerSays, { readonly kind: Kind }>> {
    for (;;) {
      signal.throwIfAborted()
      if (link.expiresAtMs <= this.#parts.ambient.clock.nowMs())
        throw new MyceliumError('link-invalid', { reason: 'expired' })
      const said = joiner.hear(await this.#ask(link, joiner.say(what), signal))
      if (said.kind === 'refused') throw new MyceliumError('not-confirmed')
      if (said.kind === kind) return said as Extract<LinkerSays, { readonly kind: Kind }>
      if (said.kind !== 'waiting') throw new MyceliumError('peer-misbehaved', { what: said.kind })
      await new Promise((resolve) => setTimeout(resolve, limits.deviceLinkPollMs))
    }
  }

  #verified(
    { account, device }: Join,
    { entries, bundle }: Extract<LinkerSays, { readonly kind: 'joined' }>,
  ): Pick<HandedOver, 'entries' | 'bundle'> {
    const state = verifyLog(entries)
    if (state.identity !== account.identity || !isActive(state, device.id))
      throw new MyceliumError('peer-misbehaved', { what: 'log' })
    const verified = verifyBundle(bundle, account.identity, this.#parts.ambient.clock.nowMs())
    return { entries, bundle: { encoded: bundle, verified } }
  }

  /** What was joined is durable here. */
  settled(): void {
    this.#join = undefined
  }

  async #ask({ gateway, locators }: DeviceLink, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.deviceLinkAskMs)])
    const options = { signal: bounded, answerBytesMax: linkingAnswerBytesMax }
    return await this.#parts.overlay.ask({ gateway, locators }, 'device', request, options)
  }

  /** Something was heard, or half a second has passed: times run out without word. */
  async #nextChange(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#changed.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, limits.deviceLinkPollMs)
      this.#changed.add(wake)
    })
  }
}

function pagesOf(states: readonly HandedState[]): readonly (readonly HandedState[])[] {
  const pages: HandedState[][] = [[]]
  let bytes = 0
  for (const state of states) {
    if (bytes > limits.linkPageBytesMax || pages.at(-1)!.length >= limits.linkPageStatesMax) {
      pages.push([])
      bytes = 0
    }
    bytes += state.state.length
    pages.at(-1)!.push(state)
  }
  return pages
}

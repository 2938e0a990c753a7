/**
 * The relays that each account can be reached through while it is away: finds them, keeps up to three, makes a queue for
 * each contact's device at each of them every week, and replaces a relay that is gone or was caught at something.
 */
import type { Ambient } from '../../ambient.ts'
import { toHex } from '../../bytes.ts'
import { signingKey } from '../../crypto/sign.ts'
import { hasCode, MyceliumError } from '../../errors.ts'
import { type GatewayId, type Identity, short } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { Store } from '../../store/store.ts'
import type { Keyring } from '../needs.ts'
import type { GatewayAddress } from '../ports.ts'
import { receiveIdOf } from '../relay-ids.ts'
import type { Relays } from '../relay-ports.ts'
import { type Pair, pairName } from '../session-book.ts'
import type { RelayBook } from './book.ts'
import { type Fault, faultWeights } from './health.ts'
import { expectedPair, invitationKeys, invitationPair } from './meeting.ts'
import { bodyKeyBytes, type GivenQueue, type InQueue, type RelayChoice } from './queues.ts'

export interface KeeperParts {
  readonly store: Store
  readonly book: RelayBook
  readonly relays: Relays
  readonly keyring: Keyring
  readonly ambient: Ambient
  /** This gateway: no relay for itself. */
  readonly self: GatewayId
  /** Of the configuration, tried first. */
  readonly configured: readonly GatewayAddress[]
  /** Gateways that are connected now: of contacts, only those are asked. */
  readonly isConnected: (gateway: GatewayId) => boolean
  /** Its stream is open now. */
  readonly isWatched: (choice: RelayChoice) => boolean
  /** A contact's device should hear of new queues. */
  readonly tell: (pair: Pair) => void
  /** This relay is used from now on. */
  readonly onChosen: (choice: RelayChoice) => void
}

/** Ed25519 seed length. */
const seedBytes = 32
const createMax = 128

export class RelayKeeper {
  readonly #parts: KeeperParts
  /** When a gateway last said that it is no relay, Unix milliseconds. */
  readonly #noRelays = new Map<GatewayId, number>()
  #running: Promise<void> | undefined
  #again = false

  constructor(parts: KeeperParts) {
    this.#parts = parts
  }

  /** What a contact's device is to know: the newest queue at each relay in use. */
  given(pair: Pair): readonly GivenQueue[] {
    const { book } = this.#parts
    const queues = book.choices(pair.account).flatMap(({ relay, sealKey, retiredAtMs }) => {
      const newest = retiredAtMs === 0 ? newestOf(book.inQueues(pair), relay.gateway, true) : undefined
      return newest === undefined ? [] : [{ relay, sealKey, sendSeed: newest.sendSeed, bodyKey: newest.bodyKey }]
    })
    return queues.slice(0, limits.relaysUsedMax)
  }

  /** Looks at everything; calls while it does make it look once more. */
  maintain(signal: AbortSignal): Promise<void> {
    this.#again = true
    this.#running ??= this.#run(signal).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (this.#again && !signal.aborted) {
      this.#again = false
      for (const account of this.#parts.keyring.accounts()) await this.#maintainAccount(account, signal)
    }
  }

  async #maintainAccount(account: Identity, signal: AbortSignal): Promise<void> {
    try {
      await this.#choose(account, signal)
      for (const choice of this.#parts.book.choices(account)) await this.#tend(choice, signal)
    } catch (error) {
      if (signal.aborted || hasCode(error, 'shutting-down')) return
      const code = error instanceof MyceliumError ? error.code : 'unexpected'
      this.#parts.ambient.log.warn('relay.not-maintained', { account: short(account), code })
    }
  }

  /**
   * The user names a relay: it is used from now on, in the place of the poorest where there are three.
   * @throws `unreachable`; `peer-misbehaved` when it is none or refuses
   */
  async use(
    account: Identity,
    at: GatewayAddress,
    { capability, signal }: { readonly capability: Uint8Array | undefined; readonly signal: AbortSignal },
  ): Promise<RelayChoice> {
    const { book, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const known = book.choice(account, at.gateway)
    const others = book.choices(account).filter((choice) => choice.retiredAtMs === 0 && choice !== known)
    const made = await this.#agree(account, at, { capability, known, signal })
    const rank = (choice: RelayChoice): number => (this.#isPoor(choice, nowMs) ? 1000 : 0) + choice.faults
    const poorest = others.toSorted((a, b) => rank(b) - rank(a))[0]
    if (others.length >= limits.relaysUsedMax && poorest !== undefined) await this.#retire(poorest)
    await this.#makeQueues(made, signal)
    return made
  }

  /** Queues that an invitation leads to: whoever accepts it may leave an introduction there. */
  async invite(account: Identity, capability: Uint8Array, signal: AbortSignal): Promise<void> {
    const { store, book, keyring, ambient } = this.#parts
    const pair = invitationPair(account, keyring.own(account).party.device, capability)
    const using = book.choices(account).filter(({ retiredAtMs }) => retiredAtMs === 0)
    const madeAtMs = ambient.clock.nowMs()
    const queues = using.map(({ relay: { gateway } }) => ({
      gateway,
      ...invitationKeys(capability, gateway),
      madeAtMs,
      isMade: false,
      highest: 0,
    }))
    await store.write((tx) => book.putIn(tx, { pair, queues }))
    await Promise.all(using.map(async (choice) => await this.#tend(choice, signal)))
  }

  /** The user does without this relay: it is emptied for a while, and nobody is told to leave anything there. */
  async drop(choice: RelayChoice): Promise<void> {
    if (choice.retiredAtMs === 0) await this.#retire(choice)
  }

  /** It was caught, now or for the last time that is borne. */
  async caught(choice: RelayChoice, fault: Fault): Promise<void> {
    const { store, book, ambient } = this.#parts
    const now = book.choice(choice.account, choice.relay.gateway)
    if (now === undefined) return
    ambient.log.warn('relay.caught', { relay: short(choice.relay.gateway.slice(-8)), fault })
    await store.write((tx) => book.putChoice(tx, { ...now, faults: now.faults + faultWeights[fault] }))
  }

  async seen(choice: RelayChoice): Promise<void> {
    const { store, book, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const now = book.choice(choice.account, choice.relay.gateway)
    if (now === undefined || nowMs - now.seenAtMs < limits.relayMaintainMs) return
    await store.write((tx) => book.putChoice(tx, { ...now, seenAtMs: nowMs }))
  }

  /** It has forgotten the owner: everything there is made anew. */
  async forgotten(choice: RelayChoice, signal: AbortSignal): Promise<void> {
    const { store, book, relays } = this.#parts
    const offer = await relays.describe(choice.relay, { signal })
    await relays.open(choice.relay, book.owner(choice), { capability: choice.capability, signal })
    await store.write((tx) => {
      // what forgot us may have forgotten its own keys
      const now = book.choice(choice.account, choice.relay.gateway)
      if (offer !== undefined && now !== undefined)
        book.putChoice(tx, { ...now, sealKey: Uint8Array.from(offer.sealKey) })
      for (const { pair } of book.inRows()) {
        if (pair.account !== choice.account) continue
        const { queues } = book.readIn(tx, pair)
        const unmade = queues.map((queue) =>
          queue.gateway === choice.relay.gateway ? { ...queue, isMade: false } : queue,
        )
        book.putIn(tx, { pair, queues: unmade })
      }
    })
    await this.#makeQueues(choice, signal)
  }

  /** Fills free places, and those of relays that are gone or were caught, as long as there are others. */
  async #choose(account: Identity, signal: AbortSignal): Promise<void> {
    const { book, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const using = book.choices(account).filter(({ retiredAtMs }) => retiredAtMs === 0)
    const poor = using.filter((choice) => this.#isPoor(choice, nowMs))
    let free = limits.relaysUsedMax - using.length
    for (const at of this.#candidates(account)) {
      if (free <= 0 && poor.length === 0) return
      if (!(await this.#adopt(account, at, signal))) continue
      if (free > 0) free -= 1
      else await this.#retire(poor.shift()!)
    }
  }

  #candidates(account: Identity): readonly GatewayAddress[] {
    const { book, keyring, configured, isConnected, self, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const contacts = keyring
      .contacts(account)
      .filter(({ state }) => state === 'active')
      .flatMap(({ devices }) => devices.flatMap(({ where }) => where ?? []))
      .filter(({ gateway }) => isConnected(gateway))
    const isOpen = ({ gateway }: GatewayAddress): boolean =>
      gateway !== self &&
      book.choice(account, gateway) === undefined &&
      nowMs - (this.#noRelays.get(gateway) ?? 0) > limits.relayMaintainMs
    const all = new Map([...configured, ...contacts].filter(isOpen).map((at) => [at.gateway, at]))
    return [...all.values()].slice(0, limits.relayCandidatesMax)
  }

  async #adopt(account: Identity, at: GatewayAddress, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#agree(account, at, { capability: undefined, known: undefined, signal })
      return true
    } catch (error) {
      if (signal.aborted) throw error
      this.#noRelays.set(at.gateway, this.#parts.ambient.clock.nowMs())
      return false
    }
  }

  /** With what is known of it from before, or with a new owner key. */
  async #agree(
    account: Identity,
    at: GatewayAddress,
    options: {
      readonly capability: Uint8Array | undefined
      readonly known: RelayChoice | undefined
      readonly signal: AbortSignal
    },
  ): Promise<RelayChoice> {
    const { store, book, relays, ambient, onChosen } = this.#parts
    const { capability = options.known?.capability, known, signal } = options
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.relayAskMs)])
    const offer = await relays.describe(at, { signal: bounded })
    if (offer === undefined) throw new MyceliumError('peer-misbehaved', { reason: 'no relay' })
    const nowMs = ambient.clock.nowMs()
    const choice: RelayChoice = {
      account,
      relay: { gateway: at.gateway, locators: [...at.locators] },
      sealKey: Uint8Array.from(offer.sealKey),
      ownerSeed: known?.ownerSeed ?? ambient.random.bytes(seedBytes),
      chosenAtMs: nowMs,
      retiredAtMs: 0,
      seenAtMs: nowMs,
      faults: 0,
      capability,
    }
    await relays.open(at, signingKey(choice.ownerSeed), { capability, signal })
    await store.write((tx) => book.putChoice(tx, choice))
    ambient.log.info('relay.chosen', { relay: short(at.gateway.slice(-8)) })
    onChosen(choice)
    return choice
  }

  async #retire(choice: RelayChoice): Promise<void> {
    const { store, book, ambient } = this.#parts
    ambient.log.info('relay.replaced', { relay: short(choice.relay.gateway.slice(-8)), faults: choice.faults })
    await store.write((tx) => book.putChoice(tx, { ...choice, retiredAtMs: ambient.clock.nowMs() }))
    this.#tellAll(choice.account)
  }

  async #tend(choice: RelayChoice, signal: AbortSignal): Promise<void> {
    const { ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    try {
      if (choice.retiredAtMs === 0) await this.#makeQueues(choice, signal)
      else if (nowMs - choice.retiredAtMs > limits.relayRetiredKeepMs) return await this.#leave(choice, signal)
      await this.#removeOld(choice, nowMs, signal)
    } catch (error) {
      if (signal.aborted) throw error
      if (hasCode(error, 'disk-full') || hasCode(error, 'store-corrupt')) throw error
      if (isUnknownOwner(error)) {
        await this.caught(choice, 'forgot')
        await this.forgotten(choice, signal).catch(() => {})
      }
    }
  }

  /** First they are remembered, then made, then told: what is lost on the way is done again. */
  async #makeQueues(choice: RelayChoice, signal: AbortSignal): Promise<void> {
    const { store, book, relays, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const { gateway } = choice.relay
    const pairs = this.#pairs(choice.account)
    const due = pairs.filter((pair) => {
      const newest = newestOf(book.inQueues(pair), gateway, false)
      return newest === undefined || Math.abs(nowMs - newest.madeAtMs) > limits.relayQueueMs
    })
    if (due.length > 0) {
      await store.write((tx) => {
        for (const pair of due) {
          const { queues } = book.readIn(tx, pair)
          const made: InQueue = {
            gateway,
            sendSeed: ambient.random.bytes(seedBytes),
            bodyKey: ambient.random.bytes(bodyKeyBytes),
            madeAtMs: nowMs,
            isMade: false,
            highest: 0,
          }
          book.putIn(tx, { pair, queues: [made, ...queues].slice(0, limits.relayQueuesPerPairMax) })
        }
      })
    }
    const unmade = [...book.inRows()].flatMap(({ pair, queues }) =>
      queues
        .filter((queue) => pair.account === choice.account && queue.gateway === gateway && !queue.isMade)
        .map((queue) => ({ pair, sendSeed: queue.sendSeed, sendId: signingKey(queue.sendSeed).publicKey })),
    )
    for (let at = 0; at < unmade.length; at += createMax) {
      const some = unmade.slice(at, at + createMax)
      await relays.queues(
        choice.relay,
        book.owner(choice),
        { create: some.map(({ sendId }) => sendId), remove: [] },
        { signal: AbortSignal.any([signal, AbortSignal.timeout(limits.relayAskMs)]) },
      )
      await this.#made(some)
    }
  }

  /** These and no others: a queue that was added meanwhile is not there yet. */
  async #made(made: readonly { readonly pair: Pair; readonly sendSeed: Uint8Array }[]): Promise<void> {
    const { store, book, tell } = this.#parts
    const seeds = new Set(made.map(({ sendSeed }) => toHex(sendSeed)))
    const pairs = new Map(made.map(({ pair }) => [pairName(pair), pair]))
    await store.write((tx) => {
      for (const pair of pairs.values()) {
        const { queues } = book.readIn(tx, pair)
        book.putIn(tx, {
          pair,
          queues: queues.map((queue) => (seeds.has(toHex(queue.sendSeed)) ? { ...queue, isMade: true } : queue)),
        })
      }
    })
    for (const pair of pairs.values()) tell(pair)
  }

  async #removeOld(choice: RelayChoice, nowMs: number, signal: AbortSignal): Promise<void> {
    const { store, book, relays } = this.#parts
    const { gateway } = choice.relay
    const isOld = (queue: InQueue): boolean =>
      queue.gateway === gateway && nowMs - queue.madeAtMs > limits.relayQueueKeepMs
    const rows = [...book.inRows()].filter(
      ({ pair, queues }) => pair.account === choice.account && queues.some((queue) => isOld(queue)),
    )
    if (rows.length === 0) return
    const owner = book.owner(choice)
    const remove = rows.flatMap(({ queues }) =>
      queues
        .filter((queue) => isOld(queue))
        .map(({ sendSeed }) => receiveIdOf(owner.publicKey, signingKey(sendSeed).publicKey)),
    )
    for (let at = 0; at < remove.length; at += createMax) {
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.relayAskMs)])
      const some = { create: [], remove: remove.slice(at, at + createMax) }
      await relays.queues(choice.relay, owner, some, { signal: bounded })
    }
    await store.write((tx) => {
      for (const { pair } of rows) {
        const { queues } = book.readIn(tx, pair)
        book.putIn(tx, { pair, queues: queues.filter((queue) => !isOld(queue)) })
      }
    })
  }

  /** Nothing that is of use can lie there any more. */
  async #leave(choice: RelayChoice, signal: AbortSignal): Promise<void> {
    const { store, book, relays } = this.#parts
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.relayAskMs)])
    await relays.close(choice.relay, book.owner(choice), { signal: bounded }).catch(() => {})
    await store.write((tx) => {
      for (const { pair } of book.inRows()) {
        if (pair.account !== choice.account) continue
        const { queues } = book.readIn(tx, pair)
        book.putIn(tx, { pair, queues: queues.filter(({ gateway }) => gateway !== choice.relay.gateway) })
      }
      book.removeChoice(tx, choice)
    })
  }

  /** It was caught too often, or has been silent for too long. */
  #isPoor(choice: RelayChoice, nowMs: number): boolean {
    const isAway = !this.#parts.isWatched(choice) && nowMs - choice.seenAtMs > limits.relayAwayMsMax
    return choice.faults >= limits.relayFaultsMax || isAway
  }

  #tellAll(account: Identity): void {
    for (const pair of this.#pairs(account)) if (pair.peer !== account) this.#parts.tell(pair)
  }

  /** Devices of accepted contacts, and this one itself: what comes back from there shows what a relay is worth. */
  #pairs(account: Identity): readonly Pair[] {
    const { keyring } = this.#parts
    const { device } = keyring.own(account).party
    return [
      ownPair(account, device),
      ...keyring.contacts(account).flatMap(({ identity, state, devices }) => {
        if (state === 'pending') return [expectedPair(account, device, identity)]
        if (state !== 'active') return []
        return devices.map((one) => ({ account, device, peer: identity, peerDevice: one.device }))
      }),
    ]
  }
}

/** Under which the queues to ourselves are kept. */
export const ownPair = (account: Identity, device: Pair['device']): Pair => ({
  account,
  device,
  peer: account,
  peerDevice: device,
})

export function newestOf(queues: readonly InQueue[], gateway: GatewayId, isMade: boolean): InQueue | undefined {
  return queues.find((queue) => queue.gateway === gateway && (queue.isMade || !isMade))
}

export const isUnknownOwner = (error: unknown): boolean =>
  hasCode(error, 'peer-misbehaved') && (error as MyceliumError).details['reason'] === 'unknown-owner'

/**
 * First contact with somebody who is not there (docs/protocol/relay.md §6): leaves an introduction where an invitation
 * leads, takes those of others, and carries first flights both ways, so that two gateways need never be on together.
 */
import type { Ambient } from '../../ambient.ts'
import { sign, verify } from '../../crypto/sign.ts'
import { hasCode, MyceliumError } from '../../errors.ts'
import { type Identity, short } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { Store, WriteTx } from '../../store/store.ts'
import type { FirstContact } from '../first-contact.ts'
import type { Keyring, PeerContact, PeerDevice } from '../needs.ts'
import type { GatewayAddress } from '../ports.ts'
import type { Relays } from '../relay-ports.ts'
import { type Offered, type Pair, pairName, type SessionBook } from '../session-book.ts'
import {
  type Body,
  type BodyContent,
  introductionContent,
  introductionLabel,
  leavingIdBytes,
  sealBody,
} from './body.ts'
import type { RelayBook } from './book.ts'
import type { Depositor } from './depositor.ts'
import { expectedPair, invitationKeys, relaysIn } from './meeting.ts'
import type { GivenQueue } from './queues.ts'

interface IntroducerParts {
  readonly store: Store
  readonly book: RelayBook
  readonly sessions: SessionBook
  readonly relays: Relays
  readonly keyring: Keyring
  readonly ambient: Ambient
  readonly firstContact: () => FirstContact
  /** Where this gateway is now. */
  readonly here: () => GatewayAddress
  readonly given: (pair: Pair) => readonly GivenQueue[]
  readonly depositor: (pair: Pair) => Depositor
  readonly carrierFor: (relay: GatewayAddress) => GatewayAddress | undefined
  readonly isHidden: boolean
}

export class RelayIntroducer {
  readonly #parts: IntroducerParts
  /** When an introduction to a pending contact was left last, Unix milliseconds. */
  readonly #introducedAtMs = new Map<string, number>()
  readonly #busy = new Set<string>()

  constructor(parts: IntroducerParts) {
    this.#parts = parts
  }

  /** The inviter does not answer: what it needs of us is left at the relays that its invitation names. */
  async introduce(account: Identity, contact: PeerContact, signal: AbortSignal): Promise<void> {
    const { keyring, ambient, given } = this.#parts
    const { invitation, identity } = contact
    const name = account + identity
    const nowMs = ambient.clock.nowMs()
    const isLately = nowMs - (this.#introducedAtMs.get(name) ?? -Infinity) < limits.relayIntroduceMs
    if (invitation === undefined || isLately || this.#busy.has(name)) return
    const { party, signing } = keyring.own(account)
    const queues = given(expectedPair(account, party.device, identity))
    // without a relay of our own there is no way back
    if (queues.length === 0) return
    this.#busy.add(name)
    try {
      const { capability } = invitation
      const bundle = keyring.bundle(account, this.#parts.here())
      const signed = introductionContent({ inviter: identity, identity: account, capability, queues })
      const content: BodyContent = {
        kind: 'introduction',
        identity: account,
        capability,
        bundle,
        device: party.device,
        signature: sign(signing, introductionLabel, signed),
        queues,
      }
      const stored = await Promise.all(
        relaysIn(invitation.at.locators).map(
          async (relay) => await this.#leaveIntroduction(relay, capability, content, signal),
        ),
      )
      if (!stored.includes(true)) return
      this.#introducedAtMs.set(name, nowMs)
      ambient.log.info('contact.introduced', { contact: short(identity), relays: stored.filter(Boolean).length })
    } finally {
      this.#busy.delete(name)
    }
  }

  async #leaveIntroduction(
    relay: GatewayAddress,
    capability: Uint8Array,
    content: BodyContent,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { relays, ambient, carrierFor, isHidden } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const { sendSeed, bodyKey } = invitationKeys(capability, relay.gateway)
    const leavingId = ambient.random.bytes(leavingIdBytes)
    const body: Body = { number: 1, leavingId, leftAtMs: nowMs, content }
    const through = carrierFor(relay)
    if (isHidden && through === undefined) return false
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.relayAskMs)])
    try {
      const offer = await relays.describe(relay, { signal: bounded })
      if (offer === undefined) return false
      const outcome = await relays.deposit(
        { relay, sealKey: offer.sealKey, sendSeed },
        {
          id: ambient.random.bytes(16),
          body: sealBody(bodyKey, body, ambient.random),
          expiresAtMs: nowMs + limits.messageExpiryMs,
        },
        { through, signal: bounded },
      )
      return outcome === 'stored'
    } catch (error) {
      if (signal.aborted) throw error
      return false
    }
  }

  /** Somebody accepted an invitation of ours: good once, and for one identity. */
  async introduced(account: Identity, content: Extract<BodyContent, { kind: 'introduction' }>): Promise<void> {
    const { store, keyring, book, sessions, ambient } = this.#parts
    const { identity, capability, bundle, queues } = content
    const isKnown = keyring.contact(account, identity)?.state === 'active'
    if (!isKnown && !keyring.capabilityOpens(account, capability)) return
    const { device } = keyring.own(account).party
    try {
      await store.write((tx) => {
        const who = {
          introduction: bundle,
          claimed: identity,
          capability,
          source: 'relay',
          flight: capability,
          seenLogHead: undefined,
        }
        const contact = keyring.meet(tx, account, who)
        if (!contact.devices.some(({ device: one }) => one === content.device) || !isSigned(account, content))
          throw new MyceliumError('signature-invalid')
        for (const one of contact.devices) {
          const pair = { account, device, peer: identity, peerDevice: one.device }
          // whom we share a session with says there where its queues are; a link and a bundle say nothing about it
          if (sessions.read(tx, pair) === undefined) book.given(tx, pair, queues)
        }
      })
    } catch (error) {
      if (!(error instanceof MyceliumError) || hasCode(error, 'disk-full') || hasCode(error, 'store-corrupt'))
        throw error
      ambient.log.info('introduction.refused', { code: error.code })
    }
  }

  /** There is no session with this device, and it cannot be asked for one: a first flight is left for it. */
  async offer(pair: Pair, signal: AbortSignal): Promise<void> {
    const { store, sessions, keyring, ambient, given, depositor } = this.#parts
    const name = pairName(pair)
    const nowMs = ambient.clock.nowMs()
    const contact = keyring.contact(pair.account, pair.peer)
    const device = contact?.devices.find((one) => one.device === pair.peerDevice)
    const offered = store.read((tx) => sessions.offered(tx, pair))
    const isLately = offered !== undefined && nowMs - offered.atMs < limits.relayLeaveAgainMs
    const queues = given(pair)
    // without queues of ours there is no way back: they are being made
    if (contact === undefined || device === undefined || isLately || queues.length === 0 || this.#busy.has(name)) return
    this.#busy.add(name)
    try {
      const offer = this.#offerAgain(offered, nowMs) ?? this.#newOffer(pair, contact, device, nowMs)
      // before it leaves: its answer must find the session
      await store.write((tx) => sessions.offer(tx, offer))
      const content: BodyContent = { kind: 'flight', request: offer.request, queues }
      await depositor(pair).leave(content, { expiresAtMs: nowMs + limits.messageExpiryMs, signal })
      await store.write((tx) => {
        // it may be answered already
        if (sessions.offered(tx, pair) !== undefined) sessions.offer(tx, { ...offer, atMs: nowMs })
      })
    } catch (error) {
      if (!(error instanceof MyceliumError) || hasCode(error, 'disk-full')) throw error
    } finally {
      this.#busy.delete(name)
    }
  }

  /** The same flight, as long as what was left of it before may lie there. */
  #offerAgain(offered: Offered | undefined, nowMs: number): Offered | undefined {
    return offered !== undefined && Math.abs(nowMs - offered.madeAtMs) < limits.messageExpiryMs ? offered : undefined
  }

  #newOffer(pair: Pair, contact: PeerContact, device: PeerDevice, nowMs: number): Offered {
    const { session, request } = this.#parts.firstContact().flightFor(pair.account, contact, device)
    return { pair, session: session.encode(), request, madeAtMs: nowMs, atMs: 0 }
  }

  /** A contact's flight: the session is made, and its first frame left where the contact looks. */
  async flew(
    pair: Pair,
    { request, queues }: Extract<BodyContent, { kind: 'flight' }>,
    leave: (pair: Pair, tag: Uint8Array, frames: readonly Uint8Array[]) => void,
  ): Promise<void> {
    const { book, firstContact } = this.#parts
    const onTaken = (tx: WriteTx, of: Pair): void => book.given(tx, of, queues)
    const taken = await firstContact().takeLeft(pair.account, pair.peer, request, onTaken)
    if (taken === undefined) return
    leave(taken.pair, taken.tag, [taken.frame])
  }
}

const isSigned = (
  inviter: Identity,
  { identity, capability, device, signature, queues }: Extract<BodyContent, { kind: 'introduction' }>,
): boolean =>
  verify(
    Buffer.from(device, 'hex'),
    introductionLabel,
    introductionContent({ inviter, identity, capability, queues }),
    signature,
  )

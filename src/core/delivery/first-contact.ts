/**
 * How two devices come to share a session: fetching a bundle, sending and answering the first flight. What was agreed
 * is durable before the flight or its answer leaves.
 */
import type { Ambient } from '../ambient.ts'
import { sign, verify } from '../crypto/sign.ts'
import { doWork } from '../crypto/work.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import { type DeviceId, type GatewayId, type Identity, short } from '../ids.ts'
import { choosePrekey } from '../identity/prekeys.ts'
import { limits } from '../limits.ts'
import { payloadBytesMax } from '../session/frame.ts'
import { type Claim, compareTranscripts, flightCacheKey, initiate, readFlight } from '../session/handshake.ts'
import { mayReset, readReset, signReset } from '../session/reset.ts'
import { Session } from '../session/session.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import {
  bundleAskContent,
  bundleAskLabel,
  decodeBundleAsk,
  decodeGreeting,
  decodeHandshakeAsk,
  encodeBundleAsk,
  encodeGreeting,
  decodeSeen,
  encodeHandshakeAsk,
  encodeSeen,
  encodeWorkDemand,
  readWorkDemand,
  type BundleProof,
  type FlightWork,
  type Greeting,
  workLabel,
} from './asks.ts'
import type { DeliveryCounts } from './counts.ts'
import { packItem } from './items.ts'
import type { Keyring, PeerContact, PeerDevice } from './needs.ts'
import { Porch } from './porch.ts'
import type { AskHandler, GatewayAddress, Overlay } from './ports.ts'
import { type Pair, pairName, type SessionBook, type SessionRow, takeOver } from './session-book.ts'

interface FirstContactParts {
  readonly store: Store
  readonly book: SessionBook
  readonly keyring: Keyring
  readonly overlay: Overlay
  readonly ambient: Ambient
  /** A session of this pair was made or replaced, here or by the peer. */
  readonly onSession: (pair: Pair) => void
  /** The same, in its transaction. */
  readonly onReplaced: (tx: WriteTx, pair: Pair) => void
  /** Does a contact who was accepted live there? */
  readonly isFamiliar: (gateway: GatewayId) => boolean
  readonly counts: DeliveryCounts
  /** Strangers who wait at this account. */
  readonly waiting: (account: Identity) => number
  /** May another device of the account know somebody whom this one does not know yet? */
  readonly isTooSoon: (account: Identity, stranger: Identity) => boolean
}

/** A first flight on its way in. */
interface Arrival {
  readonly account: Identity
  readonly source: string
  readonly flightKey: Uint8Array
  readonly flight: Uint8Array
  /** Given for one that was left at a relay: nobody waits for its answer, and ours may lie there too. */
  readonly onTaken?: (tx: WriteTx, pair: Pair) => void
}

export class FirstContact {
  readonly #parts: FirstContactParts
  /** Ids of the sessions whose flights wait for an answer, by pair. */
  readonly #underWay = new Map<string, string>()
  readonly #porch: Porch

  constructor(parts: FirstContactParts) {
    this.#parts = parts
    this.#porch = new Porch(parts)
  }

  /** Whether a gateway need not wait behind strangers. */
  isFamiliar(gateway: GatewayId): boolean {
    return this.#porch.isFamiliar(gateway)
  }

  /** Fetches and learns a contact's bundle. @throws `unreachable`, `peer-misbehaved`, what learning throws */
  async fetchBundle(
    account: Identity,
    contact: PeerContact,
    at: GatewayAddress,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    const { overlay, store, keyring } = this.#parts
    const ask = encodeBundleAsk({ identity: contact.identity, proof: this.#proof(account, contact) })
    const bundle = await overlay.ask(at, 'bundle', ask, { signal, answerBytesMax: limits.bundleBytesMax })
    await store.write((tx) => keyring.learn(tx, account, bundle, contact.identity))
  }

  /**
   * Makes a new session with one device. It takes the place of the one before only once the device has answered: a flight
   * or an answer that is lost changes nothing here. @throws `unreachable`, `handshake-refused`
   */
  async shakeHands(
    account: Identity,
    contact: PeerContact,
    device: PeerDevice,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    if (device.where === undefined) throw new MyceliumError('unreachable')
    const { pair, old, session, flight } = this.#begin(account, contact, device)
    const name = pairName(pair)
    this.#underWay.set(name, session.id)
    try {
      const answer = await this.#fly(device.where, device.device, flight, signal)
      await this.#welcomed(pair, session, { answer, old })
    } finally {
      if (this.#underWay.get(name) === session.id) this.#underWay.delete(name)
    }
  }

  /** A first flight for a contact's device that cannot be asked, to be left for it. @throws `unreachable`, `handshake-refused` */
  flightFor(
    account: Identity,
    contact: PeerContact,
    device: PeerDevice,
  ): { readonly pair: Pair; readonly session: Session; readonly request: Uint8Array } {
    const { pair, session, flight } = this.#begin(account, contact, device)
    return { pair, session, request: encodeHandshakeAsk({ device: device.device, flight, work: undefined }) }
  }

  /** @throws `unreachable`, `handshake-refused` */
  #begin(
    account: Identity,
    contact: PeerContact,
    device: PeerDevice,
  ): {
    readonly pair: Pair
    readonly old: SessionRow | undefined
    readonly session: Session
    readonly flight: Uint8Array
  } {
    const { store, book, overlay, ambient, keyring } = this.#parts
    const own = keyring.own(account)
    const pair: Pair = { account, device: own.party.device, peer: contact.identity, peerDevice: device.device }
    const nowMs = ambient.clock.nowMs()
    const prekey = choosePrekey(device.prekeys, nowMs)
    if (prekey === undefined || contact.logHead === undefined) throw new MyceliumError('unreachable')
    const old = store.read((tx) => book.read(tx, pair))
    const reset = this.#resetFor(old, pair, nowMs)
    const here = { gateway: overlay.self, locators: overlay.locators() }
    const greeting: Greeting = {
      capability: contact.invitation?.capability,
      reset,
      introduction: keyring.introduction(account, here),
    }
    const { session, flight } = initiate({
      self: own.party,
      peer: {
        identity: contact.identity,
        device: device.device,
        deviceDhPublic: device.dhPublic,
        logHead: contact.logHead,
        prekey: { id: prekey.id, dh: prekey.dhPublic, kem: prekey.kemPublic },
      },
      introduction: encodeGreeting(greeting),
      random: ambient.random,
      nowMs,
    })
    return { pair, old, session, flight }
  }

  /** Sends a flight, and does what work the other side demands first: strangers are asked for it when many come. */
  async #fly(to: GatewayAddress, device: DeviceId, flight: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const flightKey = flightCacheKey(flight)!
    let work: FlightWork | undefined
    for (let round = 0; round <= limits.workRoundsMax; round += 1) {
      const request = encodeHandshakeAsk({ device, flight, work })
      const answer = await this.#parts.overlay.ask(to, 'handshake', request, { signal, answerBytesMax: 4096 })
      const demand = readWorkDemand(answer)
      if (demand === undefined) return answer
      if (demand.bits > limits.workBitsMax) break
      const { salt, bits } = demand
      work = { salt, nonce: await doWork(workLabel, [salt, flightKey], { bits, signal }) }
    }
    throw new MyceliumError('handshake-refused', { reason: 'work' })
  }

  /** The responder's first frame: from here on the session works both ways. */
  async #welcomed(
    pair: Pair,
    session: Session,
    { answer, old }: { readonly answer: Uint8Array; readonly old: SessionRow | undefined },
  ): Promise<void> {
    const { store, book, keyring, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const opened = session.open(answer, { random: ambient.random, nowMs })
    if (opened.kind === 'refused') throw new MyceliumError('handshake-refused')
    const isReset = old !== undefined && !isUntouched(Session.decode(old.current))
    await store.write((tx) => {
      const row = book.read(tx, pair)
      // meanwhile the peer's own flight made another session: both sides hold that one
      if (currentId(row) !== currentId(old)) return
      book.replace(tx, takeOver(row, pair, session, { nowMs, reset: isReset }))
      this.#parts.onReplaced(tx, pair)
      keyring.invitationDone(tx, pair.account, pair.peer)
    })
    this.#parts.onSession(pair)
  }

  /** A statement that the current session is given up; `undefined` when there is none. */
  #resetFor(old: SessionRow | undefined, pair: Pair, nowMs: number): Uint8Array | undefined {
    if (old === undefined) return undefined
    const session = Session.decode(old.current)
    if (!isUntouched(session) && !mayReset(old.resetAtMs === 0 ? undefined : old.resetAtMs, nowMs))
      throw new MyceliumError('handshake-refused', { reason: 'too soon' })
    this.#parts.ambient.log.warn('session.reset', { device: short(pair.peerDevice), by: 'us' })
    const about = { from: pair.device, to: pair.peerDevice, session: session.id, atMs: nowMs }
    return signReset(this.#parts.keyring.own(pair.account).signing, about, this.#parts.ambient)
  }

  #proof(account: Identity, contact: PeerContact): BundleProof {
    if (contact.invitation !== undefined) return { kind: 'capability', capability: contact.invitation.capability }
    const { party, signing } = this.#parts.keyring.own(account)
    const atMs = this.#parts.ambient.clock.nowMs()
    const content = bundleAskContent({ asker: account, asked: contact.identity, atMs })
    return {
      kind: 'contact',
      identity: account,
      device: party.device,
      atMs,
      signature: sign(signing, bundleAskLabel, content),
    }
  }

  readonly answerBundle: AskHandler = async (request, { from }) =>
    quietly(() => {
      const { identity, proof } = decodeBundleAsk(request)
      const { keyring, overlay } = this.#parts
      if (!keyring.accounts().includes(identity) || !this.#mayHave(identity, proof)) return undefined
      this.#porch.expect(from)
      return Promise.resolve(keyring.bundle(identity, { gateway: overlay.self, locators: overlay.locators() }))
    })

  #mayHave(account: Identity, proof: BundleProof): boolean {
    if (proof.kind === 'capability') return this.#parts.keyring.capabilityOpens(account, proof.capability)
    const contact = this.#parts.keyring.contact(account, proof.identity)
    const isTheirs = contact?.state === 'active' && contact.devices.some(({ device }) => device === proof.device)
    const age = Math.abs(this.#parts.ambient.clock.nowMs() - proof.atMs)
    const content = bundleAskContent({ asker: proof.identity, asked: account, atMs: proof.atMs })
    return (
      isTheirs &&
      age <= limits.bundleAskAgeMs &&
      verify(Buffer.from(proof.device, 'hex'), bundleAskLabel, content, proof.signature)
    )
  }

  readonly answerHandshake: AskHandler = async (request, { from, source }) =>
    quietly(async () => {
      const { device, flight, work } = decodeHandshakeAsk(request)
      const { keyring, store } = this.#parts
      const account = keyring.accountOfDevice(device)
      const flightKey = flightCacheKey(flight)
      if (account === undefined || flightKey === undefined) return undefined
      if (store.read((tx) => tx.has(tables.handshakes, flightKey))) return undefined
      const admission = this.#porch.admit({ account, from, source, flightKey, work })
      if (admission.kind === 'work') return encodeWorkDemand(admission.demand)
      if (admission.kind === 'refused') return undefined
      const arrival = { account, source, flightKey, flight: Uint8Array.from(flight) }
      return (await this.#take(arrival, (identity) => keyring.contact(account, identity)?.state !== 'blocked'))?.frame
    })

  /**
   * A flight that a contact left at a relay. @param onTaken in the transaction that takes it @returns the first frame of the new session, with its tag; `undefined` for what
   * is not taken
   */
  async takeLeft(
    account: Identity,
    contact: Identity,
    request: Uint8Array,
    onTaken: (tx: WriteTx, pair: Pair) => void,
  ): Promise<{ readonly pair: Pair; readonly tag: Uint8Array; readonly frame: Uint8Array } | undefined> {
    const { keyring, store, ambient } = this.#parts
    try {
      const { device, flight } = decodeHandshakeAsk(request)
      const flightKey = flightCacheKey(flight)
      if (keyring.accountOfDevice(device) !== account || flightKey === undefined) return undefined
      if (store.read((tx) => tx.has(tables.handshakes, flightKey))) return undefined
      const arrival = { account, source: 'relay', flightKey, flight: Uint8Array.from(flight) }
      const taken = await this.#take({ ...arrival, onTaken }, (identity) => identity === contact)
      return taken === undefined ? undefined : { ...taken, tag: taken.session.sendTag(ambient.clock.nowMs()) }
    } catch (error) {
      if (isOurs(error)) throw error
      ambient.log.info('flight.refused', { code: error instanceof MyceliumError ? error.code : 'unexpected' })
      return undefined
    }
  }

  async #take(
    arrival: Arrival,
    isWelcome: (identity: Identity) => boolean,
  ): Promise<{ readonly pair: Pair; readonly session: Session; readonly frame: Uint8Array } | undefined> {
    // what nobody can open, or who is not welcome, waits for no transaction
    let claim: Claim | undefined = this.#read(arrival)
    if (!isWelcome(claim.identity)) return undefined
    const answered = await this.#parts.store.write((tx) => {
      // a transaction may run twice, and a claim is finished once
      const fresh = claim ?? this.#read(arrival)
      claim = undefined
      return this.#accept(tx, arrival, fresh)
    })
    if (answered !== undefined) this.#parts.onSession(answered.pair)
    return answered
  }

  #read({ account, flight }: Arrival): Claim {
    const { keyring } = this.#parts
    return readFlight(flight, { self: keyring.own(account).party, prekey: (id) => keyring.prekey(account, id) })
  }

  /** Everything that a first flight changes, in one transaction; a replayed or unwelcome one changes nothing. */
  #accept(
    tx: WriteTx,
    { account, source, flight, flightKey, onTaken }: Arrival,
    claim: Claim,
  ): { readonly pair: Pair; readonly session: Session; readonly frame: Uint8Array } | undefined {
    const { book, keyring, ambient } = this.#parts
    const moment = { random: ambient.random, nowMs: ambient.clock.nowMs() }
    if (tx.has(tables.handshakes, flightKey)) return undefined
    // a log that never was ours would bind the session to a forged past; another device of ours may know more of it
    const { seenLogHead } = claim
    if (claim.identity !== account && !keyring.hasHadHead(account, seenLogHead)) return undefined
    const { introduction, capability, ...greeting } = decodeGreeting(claim.introduction)
    const isStranger = claim.identity !== account && keyring.contact(account, claim.identity) === undefined
    // an invitation that another device of ours made is known there, and the contact soon here
    const isInvited = capability !== undefined && keyring.capabilityOpens(account, capability)
    if (isStranger && !isInvited && this.#parts.isTooSoon(account, claim.identity)) return undefined
    const who = { introduction, claimed: claim.identity, capability, source, flight: flightKey, seenLogHead }
    const contact = keyring.meet(tx, account, who)
    const peer = contact.devices.find((one) => one.device === claim.device)
    if (peer === undefined || contact.logHead === undefined)
      throw new MyceliumError('handshake-refused', { reason: 'device' })
    const session = claim.finish({ deviceDhPublic: peer.dhPublic, logHead: contact.logHead }, moment)
    const pair: Pair = {
      account,
      device: keyring.own(account).party.device,
      peer: contact.identity,
      peerDevice: claim.device,
    }
    const old = book.read(tx, pair)
    // both left one: the lower id is made on both sides, as when both call at once
    const ours = onTaken === undefined ? undefined : book.offeredId(tx, pair)
    if (ours !== undefined && compareTranscripts(ours, session.id) < 0) {
      onTaken?.(tx, pair) // where ours is to be left
      return undefined
    }
    const isReset = this.#takesPlace(old, session, greeting, pair, moment.nowMs) === 'reset'
    const [payload] = packItem({ kind: 'welcome' }, payloadBytesMax(512), () => moment.random.bytes(16))
    const frame = session.seal(payload!, moment)
    book.replace(tx, takeOver(old, pair, session, { nowMs: moment.nowMs, reset: isReset }))
    this.#parts.onReplaced(tx, pair)
    const prekeyId = new DataView(flight.buffer, flight.byteOffset).getUint32(1)
    keyring.prekeyUsed(tx, account, prekeyId)
    tx.put(tables.handshakes, flightKey, encodeSeen({ account, prekeyId }))
    onTaken?.(tx, pair)
    return { pair, session, frame }
  }

  /**
   * Whether the peer's new session may take the place of what is there. docs/protocol/delivery.md gives the rules.
   * @throws `handshake-refused`
   */
  #takesPlace(
    old: SessionRow | undefined,
    session: Session,
    { reset }: Pick<Greeting, 'reset'>,
    pair: Pair,
    nowMs: number,
  ): 'first' | 'reset' {
    const refuse = (reason: string): MyceliumError => new MyceliumError('handshake-refused', { reason })
    const ours = this.#underWay.get(pairName(pair))
    // both began at once: the lower id is made on both sides, the other one on neither
    if (ours !== undefined && compareTranscripts(ours, session.id) < 0) throw refuse('simultaneous')
    if (old === undefined) return 'first'
    const current = Session.decode(old.current)
    if (current.role === 'responder' && Math.abs(nowMs - current.createdAtMs) < limits.handshakeMsMin)
      throw refuse('too soon')
    // our answer to its earlier flight never arrived, so it begins again
    if (current.role === 'responder' && current.received === 0) return 'first'
    if (reset === undefined) throw refuse('no reset')
    const statement = readReset(reset)
    if (statement.from !== pair.peerDevice || statement.to !== pair.device) throw refuse('reset')
    // sent before our last handshake was made, and overtaken by it
    if (old.archived.some((encoded) => Session.decode(encoded).id === statement.session)) throw refuse('outdated')
    const isFree = statement.session === current.id && isUntouched(current)
    if (!isFree && !mayReset(old.resetAtMs === 0 ? undefined : old.resetAtMs, nowMs)) throw refuse('too soon')
    this.#parts.ambient.log.warn('session.reset', { device: short(pair.peerDevice), by: 'peer' })
    return isFree ? 'first' : 'reset'
  }

  /** Forgets flights whose prekey is gone: nobody can open those any more. Called about once an hour. */
  async sweep(): Promise<void> {
    const { store, keyring } = this.#parts
    await store.write((tx) => {
      const keys: Uint8Array[] = []
      for (const { key, value } of tx.range(tables.handshakes, {})) {
        const { account, prekeyId } = decodeSeen(value)
        if (keyring.prekey(account, prekeyId) === undefined) keys.push(key)
      }
      for (const key of keys) tx.remove(tables.handshakes, key)
    })
  }
}

const currentId = (row: SessionRow | undefined): string | undefined =>
  row === undefined ? undefined : Session.decode(row.current).id

/** Nothing but the handshake itself was ever received in it: replacing it loses nothing. */
const isUntouched = ({ role, received }: Session): boolean => received <= (role === 'initiator' ? 1 : 0)

/** Whatever is wrong with a stranger's question, the answer is a refusal; only a failing store is our own trouble. */
async function quietly(answer: () => Promise<Uint8Array | undefined> | undefined): Promise<Uint8Array | undefined> {
  try {
    return await answer()
  } catch (error) {
    if (isOurs(error)) throw error
    return undefined
  }
}

/** A fault here, not of what was sent. */
const isOurs = (error: unknown): boolean =>
  !(error instanceof MyceliumError) || hasCode(error, 'store-corrupt') || hasCode(error, 'disk-full')

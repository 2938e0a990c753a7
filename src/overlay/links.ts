/** Holds at most one live link per gateway, whoever opened it, and shares one attempt among those who ask for it. */
import { Buffer } from 'node:buffer'
import type { Ambient } from '../core/ambient.ts'
import type { GatewayAddress, Link } from '../core/delivery/ports.ts'
import { hasCode, MyceliumError } from '../core/errors.ts'
import { shortId } from './gateway-id.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { PeerLink } from './link.ts'
import type { Network, Pipe } from './network.ts'
import {
  answerBytes,
  decide,
  decodeAnswer,
  decodeProposal,
  encodeAnswer,
  encodeProposal,
  proposalBytes,
} from './opening.ts'
import type { Proposal } from './opening.ts'
import { PipeReader } from './pipe-reader.ts'
import { linkProtocol } from './protocols.ts'
import { untilAborted } from './until-aborted.ts'
import { reasonOf } from './reason.ts'

/** What is known of one gateway's links. Kept while anything is live, and then for the id of the last link. */
interface Entry {
  live: { readonly link: PeerLink; readonly id: bigint; readonly instance: bigint } | undefined
  /** Our own proposal, unanswered. */
  proposing: { readonly id: bigint; readonly pipe: Pipe } | undefined
  attempt: Promise<PeerLink> | undefined
  /** Those who wait for a link the peer opens. */
  readonly waiting: Set<(link: PeerLink) => void>
  lastOver: bigint
  openings: number
}

export interface LinksParts {
  readonly network: Network
  readonly ambient: Ambient
  readonly onLink: (link: Link) => void
  readonly onTrouble: (gateway: GatewayId, reason: string) => void
  /** A link that was in use ended because the path under it did. */
  readonly onPathLost: (gateway: GatewayId) => void
}

export class Links {
  readonly #parts: LinksParts
  readonly #entries = new Map<GatewayId, Entry>()
  readonly #instance: bigint
  #isStopping = false

  constructor(parts: LinksParts) {
    this.#parts = parts
    this.#instance = this.#randomId()
  }

  live(gateway: GatewayId): PeerLink | undefined {
    return this.#entries.get(gateway)?.live?.link
  }

  isOpening(gateway: GatewayId): boolean {
    return this.#entries.get(gateway)?.attempt !== undefined
  }

  /** @throws `unreachable`, the signal's reason */
  async link(to: GatewayAddress, signal: AbortSignal): Promise<Link> {
    signal.throwIfAborted()
    const entry = this.#entry(to.gateway)
    if (entry.live !== undefined) return entry.live.link
    if (this.#isStopping) throw new MyceliumError('unreachable', { reason: 'stopping' })
    if (entry.attempt === undefined) {
      const attempt = this.#open(to, entry)
      entry.attempt = attempt
      const forget = (): void => {
        entry.attempt = undefined
      }
      attempt.then(forget, forget)
    }
    return await untilAborted(entry.attempt, signal)
  }

  /** Moves a live link that runs through other gateways to the connection that is the best one now. */
  async move(gateway: GatewayId): Promise<void> {
    const entry = this.#entries.get(gateway)
    const held = entry?.live
    if (entry === undefined || held === undefined || held.link.hops === 0) return
    if (entry.attempt !== undefined || entry.proposing !== undefined || this.#isStopping) return
    const signal = AbortSignal.timeout(limits.linkOpenMsMax)
    const pipe = await this.#parts.network.open(gateway, linkProtocol, { signal })
    if (pipe.hops > 0 || entry.live !== held) return pipe.abort('nothing to move')
    try {
      await this.#agree(entry, { gateway, pipe, after: held.id }, signal)
    } catch (error) {
      // the link stays where it is
      this.#parts.ambient.log.debug('overlay.link-not-moved', { gateway: shortId(gateway), error: reasonOf(error) })
    }
  }

  /** A link stream that a peer opened. */
  async accept(pipe: Pipe, from: GatewayId): Promise<void> {
    const entry = this.#entry(from)
    if (this.#isStopping || entry.openings >= limits.linkOpeningsPerPeerMax) {
      pipe.write(encodeAnswer('busy', this.#instance))
      pipe.end()
      if (!this.#isStopping) this.#parts.onTrouble(from, 'too many link streams')
      return
    }
    entry.openings += 1
    const reader = new PipeReader(pipe, limits.linkWindowBytes)
    try {
      const proposal = decodeProposal(await reader.exactly(proposalBytes, AbortSignal.timeout(limits.linkOpenMsMax)))
      if (proposal === undefined) throw new MyceliumError('peer-misbehaved', { reason: 'no link proposal' })
      this.#answer(entry, proposal, { pipe, reader, from })
    } catch (error) {
      if (hasCode(error, 'peer-misbehaved')) this.#parts.onTrouble(from, 'garbled link stream')
      pipe.abort('no proposal')
      this.#parts.ambient.log.debug('overlay.proposal-failed', { gateway: shortId(from), error: reasonOf(error) })
    } finally {
      entry.openings -= 1
    }
  }

  /** Asks every live link for a sign of life. */
  probeAll(): void {
    for (const { live } of this.#entries.values()) live?.link.probe()
  }

  closeAll(): void {
    this.#isStopping = true
    for (const entry of this.#entries.values()) {
      entry.live?.link.end('stopping')
      entry.proposing?.pipe.abort('stopping')
    }
  }

  #answer(
    entry: Entry,
    proposal: Proposal,
    { pipe, reader, from }: { readonly pipe: Pipe; readonly reader: PipeReader; readonly from: GatewayId },
  ): void {
    const verdict = decide(
      { self: this.#parts.network.self, peer: from, live: entry.live, isProposing: entry.proposing !== undefined },
      proposal,
    )
    pipe.write(encodeAnswer(verdict, this.#instance))
    if (verdict !== 'accepted') {
      if (verdict === 'linked') this.live(from)?.probe()
      pipe.end()
      return
    }
    this.live(from)?.end('replaced')
    entry.proposing?.pipe.abort('the peer was first')
    entry.proposing = undefined
    this.#establish(entry, { pipe, reader, peer: from, initiator: false, id: proposal.id, instance: proposal.instance })
  }

  async #open(to: GatewayAddress, entry: Entry): Promise<PeerLink> {
    const signal = AbortSignal.timeout(limits.dialMsMax + limits.linkOpenMsMax)
    const arrived = Promise.withResolvers<PeerLink>()
    entry.waiting.add(arrived.resolve)
    try {
      return await Promise.race([arrived.promise, this.#propose(to, entry, signal)])
    } finally {
      entry.waiting.delete(arrived.resolve)
    }
  }

  /** Dials, proposes and waits for the answer; never resolves where the peer's own proposal is to win. */
  async #propose(to: GatewayAddress, entry: Entry, signal: AbortSignal): Promise<PeerLink> {
    await this.#parts.network.connect(to, { signal })
    if (entry.live !== undefined) return entry.live.link
    const pipe = await this.#parts.network.open(to.gateway, linkProtocol, { signal })
    const meanwhile = this.live(to.gateway)
    if (meanwhile !== undefined) {
      pipe.abort('the peer was first')
      return meanwhile
    }
    return await this.#agree(entry, { gateway: to.gateway, pipe, after: entry.lastOver }, signal)
  }

  async #agree(
    entry: Entry,
    { gateway, pipe, after }: { readonly gateway: GatewayId; readonly pipe: Pipe; readonly after: bigint },
    signal: AbortSignal,
  ): Promise<PeerLink> {
    const id = this.#randomId()
    const proposing = { id, pipe }
    entry.proposing = proposing
    const reader = new PipeReader(pipe, limits.linkWindowBytes)
    pipe.write(encodeProposal({ instance: this.#instance, id, after }))
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.linkOpenMsMax)])
    const answer = await reader
      .exactly(answerBytes, bounded)
      .then(decodeAnswer)
      .catch(() => undefined)
    if (entry.proposing !== proposing) return await this.#theirs(entry, signal)
    entry.proposing = undefined
    if (answer?.verdict === 'accepted') {
      this.live(gateway)?.end('replaced')
      return this.#establish(entry, { pipe, reader, peer: gateway, initiator: true, id, instance: answer.instance })
    }
    pipe.abort('not accepted')
    if (answer?.verdict === 'mine-first') return await this.#theirs(entry, bounded)
    if (entry.live === undefined) entry.lastOver = id
    throw new MyceliumError('unreachable', { reason: answer?.verdict ?? 'no answer to the link proposal' })
  }

  /** The peer's proposal was accepted, or is on its way. */
  async #theirs(entry: Entry, signal: AbortSignal): Promise<PeerLink> {
    if (entry.live !== undefined) return entry.live.link
    const never = new Promise<PeerLink>(() => {})
    return await untilAborted(never, signal)
  }

  #establish(
    entry: Entry,
    made: {
      readonly pipe: Pipe
      readonly reader: PipeReader
      readonly peer: GatewayId
      readonly initiator: boolean
      readonly id: bigint
      readonly instance: bigint
    },
  ): PeerLink {
    const link: PeerLink = new PeerLink({
      peer: made.peer,
      initiator: made.initiator,
      pipe: made.pipe,
      ambient: this.#parts.ambient,
      onClosed: (reason, how) => this.#onClosed(entry, { link, id: made.id, reason, how }),
    })
    entry.live = { link, id: made.id, instance: made.instance }
    this.#parts.onLink(link)
    link.listen(made.reader)
    for (const resolve of entry.waiting) resolve(link)
    return link
  }

  #onClosed(
    entry: Entry,
    over: {
      readonly link: PeerLink
      readonly id: bigint
      readonly reason: string
      readonly how: 'ended' | 'lost' | 'dead'
    },
  ): void {
    if (entry.live?.link === over.link) entry.live = undefined
    entry.lastOver = over.id
    this.#parts.ambient.log.debug('overlay.link-closed', { gateway: shortId(over.link.peer), reason: over.reason })
    if (!this.#isStopping) this.#parts.onTrouble(over.link.peer, over.reason)
    if (over.how === 'dead') this.#parts.network.drop(over.link.peer, over.reason)
    if (over.how !== 'ended' && over.link.hops > 0 && !this.#isStopping) this.#parts.onPathLost(over.link.peer)
  }

  #entry(gateway: GatewayId): Entry {
    let entry = this.#entries.get(gateway)
    if (entry !== undefined) return entry
    if (this.#entries.size >= limits.peersKnownMax) this.#forgetOne()
    entry = { live: undefined, proposing: undefined, attempt: undefined, waiting: new Set(), lastOver: 0n, openings: 0 }
    this.#entries.set(gateway, entry)
    return entry
  }

  #forgetOne(): void {
    for (const [gateway, entry] of this.#entries) {
      if (entry.live !== undefined || entry.attempt !== undefined || entry.openings > 0) continue
      this.#entries.delete(gateway)
      return
    }
  }

  #randomId(): bigint {
    return Buffer.from(this.#parts.ambient.random.bytes(8)).readBigUInt64BE()
  }
}

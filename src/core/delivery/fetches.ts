/**
 * Blobs on their way here, whatever they belong to: each is fetched by its root from whoever holds it, best source
 * first. What was stored is not fetched again. A source that cannot be reached gives way to the next in this go; one
 * whose chunk is not what the root says is asked nothing of this blob for a while.
 */
import type { Ambient } from '../ambient.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { BlobRoot, GatewayId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { StoredContent } from '../mailbox/mailbox.ts'
import type { BlobContent } from '../message/content.ts'
import type { Blobs } from '../store/blobs.ts'
import type { IncomingBlob } from '../store/incoming.ts'
import {
  chunkAnswerBytesMax,
  chunkCount,
  decodeChunkAnswer,
  encodeChunkRequest,
  openChunkInPlace,
  proofHolds,
} from './blob-chunks.ts'
import { FetchPlan } from './fetch-plan.ts'
import type { GatewayAddress, Overlay } from './ports.ts'

type BlobOfContent = Omit<BlobContent, 'kind'>

export interface WantedBlob extends BlobOfContent {
  readonly account: Identity
  /** The message that it belongs to, short, for the log. */
  readonly label: string
}

export interface FetchProgress {
  readonly account: Identity
  readonly root: BlobRoot
  /** Octets that are here. */
  readonly bytes: number
  readonly bytesTotal: number
  /** Of the last seconds; 0 while nothing comes. */
  readonly bytesPerSecond: number
}

interface FetchParts {
  readonly blobs: Pick<Blobs, 'openIncoming'>
  readonly overlay: Pick<Overlay, 'ask' | 'self'>
  /** A chunk of a blob that this very gateway holds, for another of its accounts. */
  readonly askHere: (request: Uint8Array) => Promise<Uint8Array | undefined>
  readonly ambient: Ambient
}

/** The chunk is not the one that the root names. */
class WrongChunk extends Error {}

const rateMs = 5_000
const samplesMax = 64

/** One blob that somebody here waits for. */
class Wanted {
  readonly blob: WantedBlob
  waiters = 0
  bytes = 0
  running: Promise<StoredContent> | undefined
  /** Gateways that lied about it, and until when that counts, monotonic milliseconds. */
  readonly liars = new Map<GatewayId, number>()
  #samples: { readonly atMs: number; readonly bytes: number }[] = []

  constructor(blob: WantedBlob) {
    this.blob = blob
  }

  has(bytes: number, atMs: number): void {
    this.bytes = bytes
    this.#samples.push({ atMs, bytes })
    if (this.#samples.length > samplesMax) this.#samples.shift()
  }

  progress(nowMs: number): FetchProgress {
    const { account, root, size } = this.blob
    const since = this.#samples.find(({ atMs }) => atMs >= nowMs - rateMs)
    const ms = since === undefined ? 0 : nowMs - since.atMs
    const bytesPerSecond = ms > 0 ? Math.round(((this.bytes - since!.bytes) / ms) * 1000) : 0
    return { account, root, bytes: this.bytes, bytesTotal: size, bytesPerSecond }
  }
}

export class Fetches {
  readonly #parts: FetchParts
  readonly #wanted = new Map<string, Wanted>()
  readonly #listeners = new Set<(progress: FetchProgress) => void>()

  constructor(parts: FetchParts) {
    this.#parts = parts
  }

  /** From now on its chunks are taken also when they come unasked, and its progress is known; until `unwant`. */
  want(blob: WantedBlob): void {
    const wanted = this.#wanted.get(nameOf(blob)) ?? new Wanted(blob)
    wanted.waiters += 1
    this.#wanted.set(nameOf(blob), wanted)
  }

  unwant(blob: Pick<WantedBlob, 'account' | 'root'>): void {
    const wanted = this.#wanted.get(nameOf(blob))
    if (wanted === undefined) return
    wanted.waiters -= 1
    if (wanted.waiters === 0) this.#wanted.delete(nameOf(blob))
  }

  /** Of a blob that is wanted. */
  progress(blob: Pick<WantedBlob, 'account' | 'root'>): FetchProgress | undefined {
    return this.#wanted.get(nameOf(blob))?.progress(this.#parts.ambient.clock.monotonicMs())
  }

  /** After each chunk that was stored; returns how to stop. */
  watch(listener: (progress: FetchProgress) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * One go at a wanted blob: asks sources, best first, until all of it is stored or nobody is left. Two who want the
   * same blob share one go.
   * @throws `unreachable`, `peer-misbehaved`, `malformed` (the descriptor is not of this blob), `disk-full`, the signal's reason
   */
  async fetch(
    blob: Pick<WantedBlob, 'account' | 'root'>,
    sources: readonly GatewayAddress[],
    { signal }: { readonly signal: AbortSignal },
  ): Promise<StoredContent> {
    const wanted = this.#wanted.get(nameOf(blob))
    if (wanted === undefined) throw new TypeError('fetched without being wanted')
    wanted.running ??= this.#fetch(wanted, sources, signal).finally(() => (wanted.running = undefined))
    return await wanted.running
  }

  /** What is here of it goes, unless somebody else wants it too. */
  async discard(blob: Pick<WantedBlob, 'account' | 'root'>): Promise<void> {
    const wanted = this.#wanted.get(nameOf(blob))
    if (wanted === undefined || wanted.waiters > 1) return
    const incoming = await this.#parts.blobs.openIncoming(blob.account, blob.root, wanted.blob)
    await incoming.discard()
  }

  /**
   * A chunk that came by another way than being asked for. What belongs to nothing on its way is left alone: it is in, or
   * its descriptor has not come. @returns whether it is durable, or wrong
   */
  async takeChunk(
    account: Identity,
    { root, index, answer }: { readonly root: BlobRoot; readonly index: number; readonly answer: Uint8Array },
  ): Promise<{ readonly isSettled: boolean; readonly isWhole: boolean }> {
    const wanted = this.#wanted.get(nameOf({ account, root }))
    if (wanted === undefined) return { isSettled: false, isWhole: false }
    const incoming = await this.#parts.blobs.openIncoming(account, root, wanted.blob)
    try {
      await this.#put(wanted, incoming, index, answer)
      await incoming.save()
    } catch (error) {
      if (!(error instanceof WrongChunk) && !hasCode(error, 'malformed') && !hasCode(error, 'too-large')) throw error
      this.#parts.ambient.log.info('blob.chunk-refused', { message: wanted.blob.label, index })
      return { isSettled: true, isWhole: false }
    }
    return { isSettled: true, isWhole: incoming.missing().length === 0 }
  }

  async #fetch(wanted: Wanted, offered: readonly GatewayAddress[], signal: AbortSignal): Promise<StoredContent> {
    const { account, root } = wanted.blob
    const incoming = await this.#parts.blobs.openIncoming(account, root, wanted.blob)
    this.#note(wanted, incoming)
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    const sources = offered.filter(({ gateway }) => (wanted.liars.get(gateway) ?? 0) <= nowMs)
    const plan = new FetchPlan(incoming.missing(), sources.length)
    const trouble: { last: unknown } = { last: new MyceliumError('unreachable') }
    const ended = new AbortController()
    const both = AbortSignal.any([signal, ended.signal])
    const lane = async (): Promise<void> => {
      for (let step = plan.next(); step !== undefined; step = plan.next()) {
        const source = sources[step.source]!
        let answer: Uint8Array
        try {
          answer = await this.#ask(source, root, step.index, both)
          both.throwIfAborted()
        } catch (error) {
          if (both.aborted) throw error
          trouble.last = error
          plan.failed(step)
          continue
        }
        try {
          await this.#put(wanted, incoming, step.index, answer)
          plan.arrived(step)
        } catch (error) {
          if (!(error instanceof WrongChunk)) throw error
          this.#lied(wanted, source.gateway, step.index)
          trouble.last = new MyceliumError('peer-misbehaved', { index: step.index })
          plan.failed(step)
        }
      }
    }
    const lanes = Array.from({ length: lanesFor(wanted.blob.chunkBytes) }, async () => {
      try {
        await lane()
      } catch (error) {
        ended.abort(error) // what keeps one lane from storing keeps all
        throw error
      }
    })
    const failed = (await Promise.allSettled(lanes)).find((one) => one.status === 'rejected')
    if (failed !== undefined) throw ended.signal.reason
    if (!plan.isDone) throw trouble.last
    return await incoming.finish()
  }

  async #ask(source: GatewayAddress, root: BlobRoot, index: number, signal: AbortSignal): Promise<Uint8Array> {
    const { overlay, askHere } = this.#parts
    const request = encodeChunkRequest({ root, index })
    if (source.gateway === overlay.self) {
      const answer = await askHere(request)
      if (answer === undefined) throw new MyceliumError('unreachable', { reason: 'not held here' })
      return answer
    }
    return await overlay.ask(source, 'blob', request, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(limits.chunkAskMs)]),
      answerBytesMax: chunkAnswerBytesMax,
    })
  }

  /** @throws WrongChunk, `malformed` for a right chunk that the descriptor's key does not open */
  async #put(wanted: Wanted, incoming: IncomingBlob, index: number, answer: Uint8Array): Promise<void> {
    const { key, size, chunkBytes } = wanted.blob
    const sealed = provenChunk(wanted.blob, index, answer)
    const plaintext = openChunkInPlace(key, index, sealed)
    const expected = index + 1 < chunkCount(size, chunkBytes) ? chunkBytes : size - index * chunkBytes
    if (plaintext?.length !== expected) throw new MyceliumError('malformed', { index })
    await incoming.put(index, plaintext)
    this.#note(wanted, incoming)
  }

  #note(wanted: Wanted, { bytes }: IncomingBlob): void {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    wanted.has(bytes, nowMs)
    const progress = wanted.progress(nowMs)
    for (const listener of this.#listeners) listener(progress)
  }

  #lied(wanted: Wanted, gateway: GatewayId, index: number): void {
    const { clock, log } = this.#parts.ambient
    wanted.liars.set(gateway, clock.monotonicMs() + limits.blobLiarRestMs)
    log.warn('blob.source-lied', { message: wanted.blob.label, gateway: gateway.slice(-8), index })
  }
}

/** More at once is lost by a kill; so many of the largest chunks as fill that. */
const lanesFor = (chunkBytes: number): number =>
  Math.max(1, Math.min(limits.blobChunksAtOnce, Math.floor(limits.blobBytesAtOnce / chunkBytes)))

const nameOf = ({ account, root }: Pick<WantedBlob, 'account' | 'root'>): string => `${account}/${root}`

function provenChunk(blob: BlobOfContent, index: number, answer: Uint8Array): Uint8Array {
  try {
    const { proof, sealed } = decodeChunkAnswer(answer)
    if (proofHolds(blob, index, sealed, proof)) return sealed
  } catch (error) {
    if (!(error instanceof MyceliumError)) throw error
  }
  throw new WrongChunk()
}

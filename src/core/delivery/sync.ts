/**
 * Keeps the devices of one account alike. On each new link between two of them, and hourly, each asks the other what it
 * has and gets what is new, the newest first, in segments; in between, each tells the others of its changes as they are
 * committed. Everything may be lost or come twice: the next comparison finds what is missing, and merging does no harm.
 */
import type { Ambient } from '../ambient.ts'
import { concat } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import { type DeviceId, type Identity, short } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes } from '../mailbox/mailbox.ts'
import type { MergeSource, ReplicaChange, Replicated } from '../replica/replicas.ts'
import type { Replication } from '../replica/replication.ts'
import {
  answerRanges,
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  isSame,
  type ItemId,
  ItemSet,
  Reconciliation,
} from '../replica/set-reconciliation.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { type ItemList, ItemLists } from './item-lists.ts'
import type { Item } from './items.ts'
import type { Keyring } from './needs.ts'
import type { GatewayAddress, Overlay } from './ports.ts'
import { SegmentRecords } from './segment-records.ts'
import { fetchChunk, Segments } from './segments.ts'
import { type Pair, pairName } from './session-book.ts'
import {
  decodeRecords,
  decodeSyncMessage,
  encodeSyncMessage,
  type KindSummary,
  type SegmentRecord,
  type SyncMessage,
} from './sync-messages.ts'

export interface SyncParts {
  readonly store: Store
  readonly blobs: Blobs
  readonly mailboxes: Mailboxes
  readonly replication: Replication
  readonly overlay: Overlay
  readonly keyring: Keyring
  readonly ambient: Ambient
  readonly say: (pair: Pair, item: Item) => void
}

type Answer = Extract<SyncMessage, { readonly kind: 'answer' | 'segment' | 'differing' }>
/** What takes time to answer, or to take in. */
type Asked = Extract<SyncMessage, { readonly kind: 'ask' | 'get' | 'states' | 'summary' }>
interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: MyceliumError) => void
}

/** Another device that is linked now. */
interface Peer {
  readonly pair: Pair
  /** Aborts when the link is lost. */
  readonly lost: AbortController
  readonly waiting: Map<number, Waiting>
  /** Questions of the other side, one after the other. */
  serving: Promise<void>
  asked: number
  /** This side may send too. */
  isReady: boolean
  /** A comparison is under way; another one is wanted after it. */
  comparing: Promise<void> | undefined
  again: boolean
}

const segmentChunkBytes = 1024 * 1024
const asksWaitingMax = 64

export class Sync implements AsyncDisposable {
  readonly #parts: SyncParts
  readonly #segments: Segments
  readonly #records: SegmentRecords
  readonly #peers = new Map<string, Peer>()
  readonly #lists: ItemLists
  /** Changes not yet told, by account and kind. */
  readonly #changes = new Map<
    string,
    { readonly change: ReplicaChange; readonly ids: Map<ItemId, DeviceId | undefined> }
  >()
  /** Contents on their way, by account and item. */
  readonly #fetching = new Set<string>()
  /** When somebody unknown came first, monotonic. */
  readonly #strangers = new Map<string, number>()
  readonly #running = new Set<Promise<void>>()
  readonly #stop = new AbortController()
  readonly #unwatch: () => void
  readonly #timer: NodeJS.Timeout
  #telling: NodeJS.Timeout | undefined
  /** An answer to the process before this one may still be on its way: its numbers must not be taken for ours. */
  #ticket: number

  constructor(parts: SyncParts) {
    this.#parts = parts
    this.#ticket = Buffer.from(parts.ambient.random.bytes(4)).readUInt32BE()
    this.#lists = new ItemLists(parts.store, parts.ambient.clock)
    this.#segments = new Segments(parts.ambient)
    this.#records = new SegmentRecords({ ...parts, segments: this.#segments })
    this.#unwatch = parts.replication.replicas.watch((change) => this.#changed(change))
    this.#timer = setInterval(() => {
      for (const peer of this.#peers.values()) this.#compare(peer)
    }, limits.replicaEveryMs)
    this.#timer.unref()
  }

  /** Chunks of segments, for the overlay. */
  get answer(): Segments['answer'] {
    return this.#segments.answer
  }

  /** Frames of this pair, two devices of one account, may flow. */
  ready(pair: Pair): void {
    const { replicas } = this.#parts.replication
    if (!replicas.follows(pair.account) || this.#stop.signal.aborted) return
    // the other side's hello may have been done first, and its questions be here already
    const known = this.#peers.get(pairName(pair))
    if (known?.isReady === true) this.lost(pair)
    const peer = this.#peer(pair)
    peer.isReady = true
    this.#compare(peer)
  }

  #peer(pair: Pair): Peer {
    const known = this.#peers.get(pairName(pair))
    if (known !== undefined) return known
    const peer: Peer = {
      pair,
      lost: new AbortController(),
      waiting: new Map(),
      serving: Promise.resolve(),
      asked: 0,
      comparing: undefined,
      again: false,
      isReady: false,
    }
    this.#peers.set(pairName(pair), peer)
    return peer
  }

  lost(pair: Pair): void {
    const peer = this.#peers.get(pairName(pair))
    if (peer === undefined) return
    this.#peers.delete(pairName(pair))
    peer.lost.abort()
    for (const { reject } of peer.waiting.values()) reject(new MyceliumError('unreachable'))
  }

  /** Compares with every device that is linked now; resolves when that is done, or has failed. */
  async compareNow(account: Identity): Promise<void> {
    const peers = [...this.#peers.values()].filter(({ pair }) => pair.account === account)
    for (const peer of peers) this.#compare(peer)
    await Promise.all(peers.flatMap(({ comparing }) => comparing ?? []))
  }

  /**
   * Another device may have just made a contact of somebody who is a stranger here: whoever comes first to one of several
   * devices that are linked waits a moment.
   */
  isTooSoon(account: Identity, stranger: Identity): boolean {
    if (![...this.#peers.values()].some(({ pair, isReady }) => isReady && pair.account === account)) return false
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    const name = account + stranger
    const since = this.#strangers.get(name) ?? nowMs
    this.#strangers.set(name, since)
    if (this.#strangers.size > limits.strangersRememberedMax)
      this.#strangers.delete(this.#strangers.keys().next().value!)
    return nowMs - since < limits.strangerWaitMs
  }

  /** What came inside a session with another device of the account. @throws `malformed`, `too-large` */
  heard(tx: WriteTx, pair: Pair, encoded: Uint8Array): void {
    const message = decodeSyncMessage(Uint8Array.from(encoded))
    tx.afterCommit(() => this.#take(pair, message))
  }

  #take(pair: Pair, message: SyncMessage): void {
    if (this.#stop.signal.aborted || !this.#parts.replication.replicas.follows(pair.account)) return
    const peer = this.#peer(pair)
    switch (message.kind) {
      case 'answer':
      case 'differing':
      case 'segment': {
        const waiting = peer.waiting.get(message.ticket)
        peer.waiting.delete(message.ticket)
        waiting?.resolve(message)
        return
      }
      case 'poke':
        this.#compare(peer)
        return
      case 'ask':
      case 'get':
      case 'states':
      case 'summary':
        this.#serve(peer, message)
    }
  }

  #serve(peer: Peer, message: Asked): void {
    if (peer.asked >= asksWaitingMax) return
    peer.asked += 1
    peer.serving = this.#guarded(peer, 'serve', this.#serveAfter(peer.serving, peer, message)).finally(
      () => (peer.asked -= 1),
    )
  }

  async #serveAfter(before: Promise<void>, peer: Peer, message: Asked): Promise<void> {
    await before
    if (peer.lost.signal.aborted) return
    if (message.kind === 'ask') await this.#answerAsk(peer, message)
    else if (message.kind === 'get') await this.#answerGet(peer, message)
    else if (message.kind === 'summary') await this.#answerSummary(peer, message)
    else await this.#takeStates(peer, message)
  }

  // Telling others of changes

  #changed(change: ReplicaChange): void {
    const name = `${change.account} ${change.kind}`
    this.#lists.changed(change.account, change.kind)
    const peers = [...this.#peers.values()].filter(({ pair }) => pair.account === change.account)
    if (peers.length === 0) return
    if (change.ids === 'many') {
      for (const { pair } of peers) this.#say(pair, { kind: 'poke', of: change.kind })
      return
    }
    const known = this.#changes.get(name) ?? { change, ids: new Map() }
    this.#changes.set(name, known)
    for (const id of change.ids)
      known.ids.set(id, known.ids.has(id) && known.ids.get(id) !== change.from ? undefined : change.from)
    this.#telling ??= setTimeout(() => this.#tell(), limits.replicaPushMs)
  }

  #tell(): void {
    this.#telling = undefined
    const changes = [...this.#changes.values()].toSorted(
      (a, b) => this.#rank(a.change.kind) - this.#rank(b.change.kind),
    )
    this.#changes.clear()
    for (const { change, ids } of changes)
      for (const peer of this.#peers.values())
        if (peer.pair.account === change.account) {
          const news = [...ids].filter(([, from]) => from !== peer.pair.peerDevice).map(([id]) => id)
          if (news.length > 0) this.#tellPeer(peer, change.kind, news)
        }
  }

  #rank(kind: number): number {
    return [...this.#parts.replication.replicas.kinds()].findIndex((one) => one.kind === kind)
  }

  /** The states themselves while they are few; else that there is something to ask for. */
  #tellPeer({ pair }: Peer, kind: number, ids: readonly ItemId[]): void {
    const replicated = this.#parts.replication.replicas.kind(kind)!
    const batches: Uint8Array[][] = [[]]
    let bytes = 0
    const isFew =
      ids.length <= limits.replicaPushesMax * limits.replicaGetIdsMax &&
      this.#parts.store.read((tx) => {
        for (const id of ids) {
          const state = replicated.state(tx, pair.account, id)
          if (state === undefined) continue
          const isFull =
            bytes + state.length > limits.replicaPushBytesMax || batches.at(-1)!.length >= limits.replicaGetIdsMax
          if (isFull) batches.push([])
          if (isFull) bytes = 0
          bytes += state.length + 4
          batches.at(-1)!.push(state)
          if (batches.length > limits.replicaPushesMax || bytes > limits.replicaPushBytesMax) return false
        }
        return true
      })
    if (!isFew) this.#say(pair, { kind: 'poke', of: kind })
    else for (const states of batches) if (states.length > 0) this.#say(pair, { kind: 'states', of: kind, states })
  }

  #say(pair: Pair, message: SyncMessage): void {
    this.#parts.say(pair, { kind: 'sync', message: encodeSyncMessage(message) })
  }

  async #takeStates(peer: Peer, { of, states }: Extract<SyncMessage, { readonly kind: 'states' }>): Promise<void> {
    const replicated = this.#parts.replication.replicas.kind(of)
    if (replicated === undefined) return
    const from = sourceOf(peer.pair)
    await this.#parts.store.write((tx) => replicated.merge(tx, from, states))
    const { copies } = this.#parts.replication
    if (replicated !== copies) return
    // a message that is new here, or came into being there: its content is fetched
    const lacking = this.#parts.store.read((tx) =>
      states
        .map((state) => Buffer.from(state.subarray(0, 16)).toString('hex'))
        .filter((id) => copies.isLacking(tx, from.account, id)),
    )
    if (lacking.length > 0) this.#track(peer, 'pull', this.#pull(peer, replicated, { ids: [], full: lacking }))
  }

  // Comparing

  #compare(peer: Peer): void {
    if (peer.comparing !== undefined) {
      peer.again = true
      return
    }
    const work = this.#guarded(peer, 'compare', this.#compareAll(peer)).finally(() => {
      peer.comparing = undefined
      if (peer.again && !peer.lost.signal.aborted) {
        peer.again = false
        this.#compare(peer)
      }
    })
    peer.comparing = work
    this.#running.add(work)
    void work.finally(() => this.#running.delete(work))
  }

  /** Where both have the same, one question and one answer are all. */
  async #compareAll(peer: Peer): Promise<void> {
    const { account } = peer.pair
    const kinds = [...this.#parts.replication.replicas.kinds()]
    const sums: KindSummary[] = []
    for (const replicated of kinds) {
      const { set } = await this.#lists.list(account, replicated, 0)
      sums.push({ of: replicated.kind, ...set.fingerprint(0, set.count) })
    }
    const answer = await this.#call(peer, (ticket) => ({ kind: 'summary', ticket, kinds: sums }))
    if (answer.kind !== 'differing') throw new MyceliumError('peer-misbehaved', { what: 'summary' })
    for (const replicated of kinds) {
      if (answer.kinds.includes(replicated.kind)) await this.#compareKind(peer, replicated)
      const { lacking } = await this.#lists.list(account, replicated, 0)
      await this.#pull(peer, replicated, { ids: [], full: lacking })
    }
  }

  /** Finds what is new and gets it as it is found: the newest is here first. */
  async #compareKind(peer: Peer, replicated: Replicated): Promise<void> {
    const { account } = peer.pair
    const { set } = await this.#lists.list(account, replicated, 0)
    const comparison = new Reconciliation(set)
    let pulling = Promise.resolve()
    try {
      for (let asked = comparison.next(); asked !== undefined; asked = comparison.next()) {
        const question = encodeQuestion(asked)
        const answer = await this.#call(peer, (ticket) => ({ kind: 'ask', ticket, of: replicated.kind, question }))
        if (answer.kind !== 'answer') throw new MyceliumError('peer-misbehaved', { what: 'answer' })
        const needed = comparison.take(asked, decodeAnswer(answer.answer)).map(({ id }) => id)
        await pulling
        pulling = this.#pull(peer, replicated, this.#wanted(account, replicated, needed))
        pulling.catch(() => {}) // awaited with the next question
      }
    } finally {
      await pulling
    }
  }

  #wanted(account: Identity, replicated: Replicated, needed: readonly ItemId[]): Wanted {
    const { copies } = this.#parts.replication
    if (replicated !== copies) return { ids: needed, full: [] }
    return this.#parts.store.read((tx) => {
      const isPlaced = (id: ItemId): boolean => copies.placeOf(tx, account, id) !== undefined
      const full = needed.filter((id) => !isPlaced(id))
      const without = new Set(full)
      return { ids: needed.filter((id) => !without.has(id)), full }
    })
  }

  async #answerSummary(
    { pair }: Peer,
    { ticket, kinds }: Extract<SyncMessage, { readonly kind: 'summary' }>,
  ): Promise<void> {
    const differing: number[] = []
    for (const { of, ...theirs } of kinds) {
      const { set } = await this.#known(pair.account, of, 0)
      if (!isSame(set.fingerprint(0, set.count), theirs)) differing.push(of)
    }
    this.#say(pair, { kind: 'differing', ticket, kinds: differing })
  }

  /**
   * For an answer; of a kind that only the other device has, nothing is here. A comparison begins with what there is now:
   * what comes during it is told as it comes.
   */
  async #known(account: Identity, of: number, staleMs: number): Promise<Pick<ItemList, 'set'>> {
    const replicated = this.#parts.replication.replicas.kind(of)
    return replicated === undefined ? { set: new ItemSet([]) } : await this.#lists.list(account, replicated, staleMs)
  }

  async #answerAsk(
    { pair }: Peer,
    { ticket, of, question }: Extract<SyncMessage, { readonly kind: 'ask' }>,
  ): Promise<void> {
    const asked = decodeQuestion(question)
    const { set } = await this.#known(pair.account, of, limits.replicaStaleMs)
    this.#say(pair, { kind: 'answer', ticket, answer: encodeAnswer(answerRanges(set, asked)) })
  }

  // Getting what is new

  /** One segment is on its way while the one before is put away. */
  async #pull(peer: Peer, replicated: Replicated, { ids, full }: Wanted): Promise<void> {
    // what is on its way already, from this device or another one, is not fetched twice
    const fetched = full.filter((id) => !this.#fetching.has(peer.pair.account + id))
    for (const id of fetched) this.#fetching.add(peer.pair.account + id)
    try {
      await this.#pullAll(peer, replicated, { ids, full: fetched })
    } finally {
      for (const id of fetched) this.#fetching.delete(peer.pair.account + id)
    }
  }

  async #pullAll(peer: Peer, replicated: Replicated, wanted: Wanted): Promise<void> {
    let left = wanted
    let next = this.#fetchSegment(peer, replicated, left)
    while (next !== undefined) {
      const { records, count } = await next
      left = without(left, count)
      next = this.#fetchSegment(peer, replicated, left)
      next?.catch(() => {}) // awaited in the next round
      await this.#records.absorb(sourceOf(peer.pair), replicated, records, {
        where: () => this.#where(peer),
        signal: peer.lost.signal,
      })
    }
  }

  #fetchSegment(
    peer: Peer,
    replicated: Replicated,
    wanted: Wanted,
  ): Promise<{ readonly records: readonly SegmentRecord[]; readonly count: number }> | undefined {
    const ids = wanted.ids.slice(0, limits.replicaGetIdsMax)
    const full = wanted.full.slice(0, limits.replicaGetIdsMax - ids.length)
    if (ids.length + full.length === 0) return undefined
    return this.#fetch(peer, (ticket) => ({ kind: 'get', ticket, of: replicated.kind, ids, full }))
  }

  async #fetch(
    peer: Peer,
    get: (ticket: number) => SyncMessage,
  ): Promise<{ readonly records: readonly SegmentRecord[]; readonly count: number }> {
    const answer = await this.#call(peer, get)
    if (answer.kind !== 'segment' || answer.count < 1) throw new MyceliumError('peer-misbehaved', { what: 'segment' })
    const { segment, count } = answer
    if (segment.size > segmentChunkBytes || segment.chunkBytes !== segmentChunkBytes)
      throw new MyceliumError('peer-misbehaved', { bytes: segment.size })
    if (segment.size === 0) return { records: [], count }
    const options = { signal: peer.lost.signal }
    const bytes = await fetchChunk(this.#parts.overlay, { from: this.#where(peer), what: segment, index: 0 }, options)
    return { records: decodeRecords(bytes), count }
  }

  #where({ pair }: Peer): GatewayAddress {
    const devices = this.#parts.keyring.contact(pair.account, pair.account)?.devices ?? []
    const where = devices.find(({ device }) => device === pair.peerDevice)?.where
    if (where === undefined) throw new MyceliumError('unreachable')
    return where
  }

  // Giving

  async #answerGet(
    { pair }: Peer,
    { ticket, of, ids, full }: Extract<SyncMessage, { readonly kind: 'get' }>,
  ): Promise<void> {
    const replicated = this.#parts.replication.replicas.kind(of)
    const records: Uint8Array[] = []
    let bytes = 0
    let count = 0
    for (const [index, id] of [...ids, ...full].entries()) {
      const record = replicated && (await this.#records.record(pair.account, replicated, id, index >= ids.length))
      const length = record?.length ?? 0
      if (count > 0 && bytes + length > limits.replicaSegmentBytesMax) break
      if (record !== undefined) records.push(record)
      bytes += length
      count += 1
    }
    const plain = concat(...records)
    const key = this.#parts.ambient.random.bytes(32)
    const read = async (from: number, to: number): Promise<Uint8Array> =>
      await Promise.resolve(plain.subarray(from, to))
    const segment = await this.#segments.serve(key, { size: plain.length, chunkBytes: segmentChunkBytes, read })
    this.#say(pair, { kind: 'segment', ticket, count, segment })
  }

  // Questions

  async #call(peer: Peer, messageOf: (ticket: number) => SyncMessage): Promise<Answer> {
    this.#ticket = (this.#ticket + 1) % 0x1_0000_0000
    const ticket = this.#ticket
    if (peer.lost.signal.aborted) throw new MyceliumError('unreachable')
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const timer = setTimeout(() => reject(new MyceliumError('timeout')), limits.replicaAskMs)
    peer.waiting.set(ticket, { resolve, reject })
    try {
      this.#say(peer.pair, messageOf(ticket))
      return await promise
    } finally {
      clearTimeout(timer)
      peer.waiting.delete(ticket)
    }
  }

  #track(peer: Peer, task: string, work: Promise<void>): void {
    const guarded = this.#guarded(peer, task, work)
    this.#running.add(guarded)
    void guarded.finally(() => this.#running.delete(guarded))
  }

  /** What breaks off is taken up by the next comparison: soon, while the link is there. */
  async #guarded(peer: Peer, task: string, work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      if (peer.lost.signal.aborted || this.#stop.signal.aborted) return
      const code = error instanceof MyceliumError ? error.code : 'unexpected'
      this.#parts.ambient.log.warn('sync.failed', { device: short(peer.pair.peerDevice), task, code })
      const again = setTimeout(() => {
        if (!peer.lost.signal.aborted) this.#compare(peer)
      }, limits.replicaRetryMs)
      again.unref()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#unwatch()
    clearInterval(this.#timer)
    clearTimeout(this.#telling)
    const serving = [...this.#peers.values()].map((peer) => peer.serving)
    for (const { pair } of this.#peers.values()) this.lost(pair)
    await Promise.all([...serving, ...this.#running])
  }
}

/** Items of which the state is wanted, and those of which the content is wanted too. */
interface Wanted {
  readonly ids: readonly ItemId[]
  readonly full: readonly ItemId[]
}
const without = ({ ids, full }: Wanted, count: number): Wanted => ({
  ids: ids.slice(count),
  full: full.slice(Math.max(0, count - Math.min(ids.length, limits.replicaGetIdsMax))),
})

const sourceOf = ({ account, peerDevice }: Pair): MergeSource => ({ account, device: peerDevice })

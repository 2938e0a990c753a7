/**
 * ◆ Range-based set reconciliation (Meyer 2023; the shape of Negentropy): two devices find what one has and the other has
 * not by comparing fingerprints of ranges, halving where they differ, in messages that grow with the difference and not
 * with the sets. The asker keeps all state and only learns what it needs; both sides ask. Items are ordered by time and
 * id; a changed item is another version of the same id. docs/protocol/devices.md
 */
import { compare } from '../bytes.ts'
import { array, type Codec, decode, encode, fixed, hexId, literal, record, u32, u64, union } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'

/** 16 bytes as hex. */
export type ItemId = string

export interface SetItem {
  /** Unix milliseconds: where it stands in the order, the same on every device. */
  readonly atMs: number
  readonly id: ItemId
  /** 16 bytes as hex: a digest of the id and of the item's state. */
  readonly version: string
}

/** A place between items: everything at or above (atMs, id). */
export interface Bound {
  readonly atMs: number
  readonly id: ItemId
}
export interface Range {
  readonly lower: Bound
  /** Exclusive; none for the end of the order. */
  readonly upper: Bound | undefined
}
export interface Fingerprint {
  readonly count: number
  /** Sum of the versions, modulo 2¹²⁸. */
  readonly sum: Uint8Array
}

const idBytes = 16
const lowest: Bound = { atMs: 0, id: '0'.repeat(2 * idBytes) }
export const everything: Range = { lower: lowest, upper: undefined }

const isBelow = (a: Bound, b: Bound): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.id < b.id)
export const isSame = (a: Fingerprint, b: Fingerprint): boolean => a.count === b.count && compare(a.sum, b.sum) === 0

/** A sorted set, packed: 40 bytes an item. */
export class ItemSet {
  readonly count: number
  readonly #times: Float64Array
  readonly #ids: Buffer
  readonly #versions: Buffer

  /** In any order; each id once. */
  constructor(items: readonly SetItem[]) {
    const sorted = items.toSorted((a, b) => (isBelow(a, b) ? -1 : 1))
    this.count = sorted.length
    this.#times = Float64Array.from(sorted, ({ atMs }) => atMs)
    this.#ids = Buffer.alloc(sorted.length * idBytes)
    this.#versions = Buffer.alloc(sorted.length * idBytes)
    for (const [index, { id, version }] of sorted.entries()) {
      this.#ids.write(id, index * idBytes, 'hex')
      this.#versions.write(version, index * idBytes, 'hex')
    }
  }

  boundAt(index: number): Bound {
    return { atMs: this.#times[index]!, id: this.#hex(this.#ids, index) }
  }
  itemAt(index: number): ListedItem {
    return { id: this.#hex(this.#ids, index), version: this.#hex(this.#versions, index) }
  }

  #hex(bytes: Buffer, index: number): string {
    return bytes.toString('hex', index * idBytes, (index + 1) * idBytes)
  }

  /** Indices of the items in a range: from the first to before the second. */
  within({ lower, upper }: Range): readonly [from: number, to: number] {
    const from = this.#lowerBound(lower)
    return [from, upper === undefined ? this.count : Math.max(from, this.#lowerBound(upper))]
  }

  #lowerBound(bound: Bound): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      const atMs = this.#times[middle]!
      if (atMs < bound.atMs || (atMs === bound.atMs && this.#hex(this.#ids, middle) < bound.id)) low = middle + 1
      else high = middle
    }
    return low
  }

  fingerprint(from: number, to: number): Fingerprint {
    const lanes: [number, number, number, number] = [0, 0, 0, 0]
    for (let at = from * idBytes; at < to * idBytes; at += idBytes) {
      lanes[0] += this.#versions.readUInt32BE(at)
      lanes[1] += this.#versions.readUInt32BE(at + 4)
      lanes[2] += this.#versions.readUInt32BE(at + 8)
      lanes[3] += this.#versions.readUInt32BE(at + 12)
    }
    const sum = Buffer.alloc(idBytes)
    let carry = 0
    for (let lane = 3; lane >= 0; lane -= 1) {
      const value = lanes[lane]! + carry
      sum.writeUInt32BE(value % 0x1_0000_0000, lane * 4)
      carry = Math.floor(value / 0x1_0000_0000)
    }
    return { count: to - from, sum }
  }
}

// Messages

export type AskedRange = Range & Fingerprint
export type ListedItem = Pick<SetItem, 'id' | 'version'>
/** One piece of an asked range, from `lower` up to the piece before it. */
export type Part =
  | ({ readonly kind: 'fingerprint'; readonly lower: Bound } & Fingerprint)
  | { readonly kind: 'items'; readonly lower: Bound; readonly items: readonly ListedItem[] }
/** For one asked range: nothing where both have the same; else pieces from the newest to the oldest. `later`: ask again. */
export type RangeAnswer =
  | { readonly kind: 'same' }
  | { readonly kind: 'later' }
  | { readonly kind: 'parts'; readonly parts: readonly Part[] }

const bound: Codec<Bound> = record<Bound>({ atMs: u64, id: hexId(idBytes) })
const fingerprintFields = { count: u32, sum: fixed(idBytes) }
const boundOrEnd: Codec<Bound | undefined> = {
  write: (out, value) => {
    out.u8(value === undefined ? 0 : 1)
    if (value !== undefined) bound.write(out, value)
  },
  read: (from) => {
    const isThere = from.u8()
    if (isThere > 1) throw new MyceliumError('malformed', { at: from.position })
    return isThere === 1 ? bound.read(from) : undefined
  },
}
const questionCodec: Codec<readonly AskedRange[]> = array(
  record<AskedRange>({ lower: bound, upper: boundOrEnd, ...fingerprintFields }),
  limits.reconcileRangesMax,
)
const partCodec: Codec<Part> = union<Part>({
  fingerprint: { tag: 0, codec: record({ kind: literal('fingerprint'), lower: bound, ...fingerprintFields }) },
  items: {
    tag: 1,
    codec: record({
      kind: literal('items'),
      lower: bound,
      items: array(record<ListedItem>({ id: hexId(idBytes), version: hexId(idBytes) }), limits.reconcileListMax),
    }),
  },
})
const answerCodec: Codec<readonly RangeAnswer[]> = array(
  union<RangeAnswer>({
    same: { tag: 0, codec: record({ kind: literal('same') }) },
    later: { tag: 1, codec: record({ kind: literal('later') }) },
    parts: {
      tag: 2,
      codec: record({ kind: literal('parts'), parts: array(partCodec, limits.reconcilePartsMax) }),
    },
  }),
  limits.reconcileRangesMax,
)
export const encodeQuestion = (ranges: readonly AskedRange[]): Uint8Array => encode(questionCodec, ranges)
/** @throws `malformed`, `too-large` */
export const decodeQuestion = (bytes: Uint8Array): readonly AskedRange[] => decode(questionCodec, bytes)
export const encodeAnswer = (answers: readonly RangeAnswer[]): Uint8Array => encode(answerCodec, answers)
/** @throws `malformed`, `too-large` */
export const decodeAnswer = (bytes: Uint8Array): readonly RangeAnswer[] => decode(answerCodec, bytes)

// The side that answers: no state but its set

/** At most `limits.reconcileAnswerItems` items are listed in one answer. */
export function answerRanges(own: ItemSet, asked: readonly AskedRange[]): readonly RangeAnswer[] {
  let room: number = limits.reconcileAnswerItems
  return asked.map((range) => {
    const [from, to] = own.within(range)
    if (isSame(own.fingerprint(from, to), range)) return { kind: 'same' }
    const isListed = to - from <= limits.reconcileLeafItems || range.count === 0
    if (!isListed) return { kind: 'parts', parts: split(own, range.lower, from, to) }
    if (room === 0) return { kind: 'later' }
    const first = Math.max(from, to - Math.min(room, limits.reconcileListMax))
    room -= to - first
    return { kind: 'parts', parts: listed(own, range.lower, { from, first, to }) }
  })
}

function listed(
  own: ItemSet,
  lower: Bound,
  { from, first, to }: { readonly from: number; readonly first: number; readonly to: number },
): readonly Part[] {
  const items = Array.from({ length: to - first }, (_, index) => own.itemAt(to - 1 - index))
  if (first === from) return [{ kind: 'items', lower, items }]
  const rest: Part = { kind: 'fingerprint', lower, ...own.fingerprint(from, first) }
  return [{ kind: 'items', lower: own.boundAt(first), items }, rest]
}

/** Pieces with as many items each, newest first. */
function split(own: ItemSet, lower: Bound, from: number, to: number): readonly Part[] {
  const edges = Array.from({ length: limits.reconcileSplit + 1 }, (_, index) =>
    Math.round(from + ((to - from) * index) / limits.reconcileSplit),
  )
  return Array.from({ length: limits.reconcileSplit }, (_, back): Part => {
    const index = limits.reconcileSplit - 1 - back
    const first = edges[index]!
    return {
      kind: 'fingerprint',
      lower: index === 0 ? lower : own.boundAt(first),
      ...own.fingerprint(first, edges[index + 1]!),
    }
  })
}

// The side that asks

export class Reconciliation {
  readonly #own: ItemSet
  /** Still to be asked about; the newest is last. */
  readonly #open: Range[] = [everything]
  #rounds = 0

  constructor(own: ItemSet) {
    this.#own = own
  }

  /** What to ask next; none when everything is known. @throws `peer-misbehaved` after too many rounds */
  next(): readonly AskedRange[] | undefined {
    if (this.#open.length === 0) return undefined
    this.#rounds += 1
    if (this.#rounds > limits.reconcileRoundsMax) throw new MyceliumError('peer-misbehaved', { rounds: this.#rounds })
    return this.#open
      .splice(-limits.reconcileRangesMax)
      .toReversed()
      .map((range) => ({ ...range, ...this.#own.fingerprint(...this.#own.within(range)) }))
  }

  /** @returns items that the other side has and this one has not, newest first. @throws `peer-misbehaved` */
  take(asked: readonly AskedRange[], answers: readonly RangeAnswer[]): readonly ListedItem[] {
    const refused = (reason: string): MyceliumError => new MyceliumError('peer-misbehaved', { reason })
    if (answers.length !== asked.length || answers.every(({ kind }) => kind === 'later')) throw refused('answers')
    const needed: ListedItem[] = []
    const open: Range[] = []
    for (const [index, range] of asked.entries()) {
      const answer = answers[index]!
      if (answer.kind === 'later') open.push(range)
      if (answer.kind !== 'parts') continue
      let { upper } = range
      for (const part of answer.parts) {
        if (isBelow(part.lower, range.lower) || (upper !== undefined && !isBelow(part.lower, upper)))
          throw refused('bounds')
        const piece = { lower: part.lower, upper }
        if (part.kind === 'items') needed.push(...this.#lacking(piece, part.items))
        else if (answer.parts.length === 1) throw refused('no progress')
        else if (part.count > 0 && !isSame(this.#own.fingerprint(...this.#own.within(piece)), part)) open.push(piece)
        upper = part.lower
      }
      if (upper === undefined || upper.atMs !== range.lower.atMs || upper.id !== range.lower.id) throw refused('gap')
    }
    this.#open.push(...open.toReversed())
    return needed
  }

  #lacking(range: Range, items: readonly ListedItem[]): readonly ListedItem[] {
    const [from, to] = this.#own.within(range)
    const own = new Set<string>()
    for (let index = from; index < to; index += 1) {
      const { id, version } = this.#own.itemAt(index)
      own.add(id + version)
    }
    return items.filter(({ id, version }) => !own.has(id + version))
  }
}

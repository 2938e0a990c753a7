/**
 * Who may shake hands now. A handshake costs milliseconds and rows, so this is decided before any of it is spent: gateways
 * of contacts and of those who have shown an invitation go by a lane of their own; strangers share a small pace, by
 * source; when it is used up, or many wait already, a stranger shows work that is bound to its very flight.
 */
import type { Ambient } from '../ambient.ts'
import { toHex } from '../bytes.ts'
import { workBits } from '../crypto/work.ts'
import type { GatewayId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { type Pace, TokenBucket, TokenBuckets } from '../token-bucket.ts'
import type { DeliveryCounts } from './counts.ts'
import { type FlightWork, workLabel, type WorkDemand } from './asks.ts'

export interface Knock {
  readonly account: Identity
  /** The asking gateway: the transport has proven it. */
  readonly from: GatewayId
  /** What else comes from there counts together: a network address, or the relay in between. */
  readonly source: string
  readonly flightKey: Uint8Array
  readonly work: FlightWork | undefined
}

export type Admission =
  | { readonly kind: 'admitted' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'work'; readonly demand: WorkDemand }

interface PorchParts {
  readonly ambient: Ambient
  /** Does a contact who was accepted live there? */
  readonly isFamiliar: (gateway: GatewayId) => boolean
  readonly counts: DeliveryCounts
  /** Strangers who wait at this account. */
  readonly waiting: (account: Identity) => number
  /** The least work that is demanded; `limits.workBitsMin` where it is left out. */
  readonly leastBits?: number
}

const pace = (perSecond: number, burst: number): Pace => ({ perSecond, burst })
const saltBytes = 16

export class Porch {
  readonly #parts: PorchParts
  readonly #familiar: TokenBuckets
  readonly #sources: TokenBuckets
  readonly #strangers: TokenBucket
  readonly #workers: TokenBucket
  /** Gateways that have shown an invitation, until when (monotonic). */
  readonly #expected = new Map<GatewayId, number>()
  /** This period's and the last one's, with the flights whose work was used. */
  #salts: { readonly salt: Uint8Array; readonly used: Set<string> }[]
  #saltAtMs: number
  /** Bits above the least, by how many come with work. */
  #raised = 0
  #raisedAtMs: number

  constructor(parts: PorchParts) {
    const { clock, random } = parts.ambient
    this.#parts = parts
    this.#familiar = new TokenBuckets(
      pace(limits.contactFlightsPerSecond, limits.contactFlightsBurst),
      limits.sourcesKnownMax,
    )
    this.#sources = new TokenBuckets(
      pace(limits.sourceFlightsPerSecond, limits.sourceFlightsBurst),
      limits.sourcesKnownMax,
    )
    this.#strangers = new TokenBucket(pace(limits.strangerFlightsPerSecond, limits.strangerFlightsBurst))
    this.#workers = new TokenBucket(pace(limits.workFlightsPerSecond, limits.workFlightsBurst))
    this.#salts = [{ salt: random.bytes(saltBytes), used: new Set() }]
    this.#saltAtMs = clock.monotonicMs()
    this.#raisedAtMs = this.#saltAtMs
  }

  /** It has shown a good invitation, and will shake hands soon. */
  expect(gateway: GatewayId): void {
    const { clock } = this.#parts.ambient
    this.#expected.delete(gateway)
    this.#expected.set(gateway, clock.monotonicMs() + limits.expectedGatewayMs)
    if (this.#expected.size > limits.expectedGatewaysMax) this.#expected.delete(this.#expected.keys().next().value!)
  }

  /** Whether it need not wait behind strangers. */
  isFamiliar(gateway: GatewayId): boolean {
    const untilMs = this.#expected.get(gateway)
    const isExpected = untilMs !== undefined && untilMs > this.#parts.ambient.clock.monotonicMs()
    return isExpected || this.#parts.isFamiliar(gateway)
  }

  /** Costs microseconds, whoever asks. */
  admit(knock: Knock): Admission {
    const admission = this.#judge(knock)
    const { flights } = this.#parts.counts
    flights[admission.kind === 'work' ? 'askedForWork' : admission.kind] += 1
    return admission
  }

  #judge(knock: Knock): Admission {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    if (this.isFamiliar(knock.from)) return { kind: this.#familiar.take(knock.from, nowMs) ? 'admitted' : 'refused' }
    if (knock.work !== undefined) return this.#judgeWork(knock, knock.work)
    const isQuiet = this.#parts.waiting(knock.account) < limits.workFromRequests
    if (isQuiet && this.#sources.take(knock.source, nowMs) && this.#strangers.take(nowMs)) return { kind: 'admitted' }
    return this.#demand(knock)
  }

  #judgeWork(knock: Knock, { salt, nonce }: FlightWork): Admission {
    this.#turnSalts()
    const period = this.#salts.find((one) => Buffer.compare(one.salt, salt) === 0)
    const name = toHex(knock.flightKey)
    if (period === undefined || this.#salts.some(({ used }) => used.has(name))) return this.#demand(knock)
    if (workBits(workLabel, [salt, knock.flightKey], nonce) < this.#bits(knock)) return this.#demand(knock)
    if (!this.#workers.take(this.#parts.ambient.clock.monotonicMs())) {
      this.#raise()
      return this.#demand(knock)
    }
    period.used.add(name)
    return { kind: 'admitted' }
  }

  #demand(knock: Knock): Admission {
    this.#turnSalts()
    return { kind: 'work', demand: { salt: this.#salts[0]!.salt, bits: this.#bits(knock) } }
  }

  /** More with every bit of the way to a full list, and more while more work comes than can be taken. */
  #bits({ account }: Knock): number {
    this.#lower()
    const { leastBits = limits.workBitsMin } = this.#parts
    const fullness = Math.round((4 * this.#parts.waiting(account)) / limits.requestsMax)
    return Math.min(leastBits + fullness + this.#raised, limits.workBitsMax)
  }

  #raise(): void {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    if (nowMs - this.#raisedAtMs < limits.workRaiseMsMin) return
    this.#raised = Math.min(this.#raised + 1, limits.workBitsMax - limits.workBitsMin)
    this.#raisedAtMs = nowMs
  }

  #lower(): void {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    if (this.#raised === 0 || nowMs - this.#raisedAtMs < limits.workLowerMs || this.#workers.level(nowMs) < 0.5) return
    this.#raised -= 1
    this.#raisedAtMs = nowMs
  }

  #turnSalts(): void {
    const { clock, random } = this.#parts.ambient
    if (clock.monotonicMs() - this.#saltAtMs < limits.workSaltMs) return
    this.#saltAtMs = clock.monotonicMs()
    this.#salts = [{ salt: random.bytes(saltBytes), used: new Set() }, this.#salts[0]!]
  }
}

import { beforeEach, expect, test } from 'vitest'
import { type Ambient, type Random, silentLog } from '../../../src/core/ambient.ts'
import { doWork, workBits } from '../../../src/core/crypto/work.ts'
import { type FlightWork, type WorkDemand, workLabel } from '../../../src/core/delivery/asks.ts'
import { newDeliveryCounts } from '../../../src/core/delivery/counts.ts'
import { type Admission, Porch } from '../../../src/core/delivery/porch.ts'
import type { GatewayId, Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { seededRandom } from '../session/support.ts'

const account = 'a'.repeat(64) as Identity
const signal = new AbortController().signal
let nowMs = 0
/** The same in each run: by luck, work for one flight is good for another. */
let random: Random = seededRandom('porch')
let waiting = 0
const ambient: Ambient = {
  clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
  random: { bytes: (length) => random.bytes(length) },
  log: silentLog,
}
const friend = 'friend' as GatewayId
/** Little, so that the tests are quick. */
const leastBits = 10
let porch: Porch

beforeEach(() => {
  nowMs = 0
  waiting = 0
  random = seededRandom('porch')
  porch = new Porch({
    ambient,
    isFamiliar: (gateway) => gateway === friend,
    waiting: () => waiting,
    leastBits,
    counts: newDeliveryCounts(),
  })
})

interface Attempt {
  readonly from?: string
  readonly source?: string
  readonly flightKey?: Uint8Array
  readonly work?: FlightWork | undefined
}
const knock = ({ from = 'stranger', source = from, flightKey = random.bytes(32), work }: Attempt): Admission =>
  porch.admit({ account, from: from as GatewayId, source, flightKey, work })

/** As many kinds as there were attempts. */
const kinds = (count: number, attempt: (number: number) => Attempt): readonly string[] =>
  Array.from({ length: count }, (_, number) => knock(attempt(number)).kind)
const admitted = (all: readonly string[]): number => all.filter((kind) => kind === 'admitted').length

function demandOf(admission: Admission): WorkDemand {
  if (admission.kind !== 'work') throw new TypeError(admission.kind)
  return admission.demand
}
async function worked(flightKey: Uint8Array, demand: WorkDemand): Promise<FlightWork> {
  const nonce = await doWork(workLabel, [demand.salt, flightKey], { bits: demand.bits, signal })
  expect(workBits(workLabel, [demand.salt, flightKey], nonce)).toBeGreaterThanOrEqual(demand.bits)
  return { salt: demand.salt, nonce }
}
/** Knocks, works for it, and knocks again. */
async function workFor(attempt: Attempt = {}): Promise<Admission> {
  const flightKey = random.bytes(32)
  const work = await worked(flightKey, demandOf(knock({ ...attempt, flightKey })))
  return knock({ ...attempt, flightKey, work })
}

test('one source gets in a few times, many sources share one pace, and both go on with time', () => {
  expect(admitted(kinds(50, () => ({})))).toBe(limits.sourceFlightsBurst)
  expect(admitted(kinds(100, (number) => ({ source: `10.0.${number}.1` })))).toBe(
    limits.strangerFlightsBurst - limits.sourceFlightsBurst,
  )
  nowMs += 2000
  expect(admitted(kinds(100, (number) => ({ source: `10.1.${number}.1` })))).toBe(2 * limits.strangerFlightsPerSecond)
})

test('gateways of contacts and of those who showed an invitation pass a crowd of strangers', () => {
  kinds(1000, (number) => ({ source: `${number}` }))
  expect(knock({ from: friend }).kind).toBe('admitted')
  expect(knock({ from: 'invited' }).kind).toBe('work')
  porch.expect('invited' as GatewayId)
  expect(knock({ from: 'invited' }).kind).toBe('admitted')
  nowMs += limits.expectedGatewayMs + 1
  kinds(1000, (number) => ({ source: `${number}` }))
  expect(knock({ from: 'invited' }).kind).toBe('work')
})

test('a contact’s gateway that shakes hands without end is refused, and nobody else with it', () => {
  expect(admitted(kinds(100, () => ({ from: friend })))).toBe(limits.contactFlightsBurst)
  expect(knock({}).kind).toBe('admitted')
})

test('when many wait, a stranger gets in by work for its own flight, once, for as long as the salt is good', async () => {
  waiting = limits.workFromRequests
  const flightKey = random.bytes(32)
  const demand = demandOf(knock({ flightKey }))
  expect(demand.bits).toBeGreaterThanOrEqual(leastBits)
  const work = await worked(flightKey, demand)
  expect(knock({ work }).kind).toBe('work') // another flight
  expect(knock({ flightKey, work: { ...work, salt: random.bytes(16) } }).kind).toBe('work')
  expect(knock({ flightKey, work: { ...work, nonce: work.nonce + 1 } }).kind).toBe('work')
  nowMs += limits.workSaltMs
  knock({})
  expect(knock({ flightKey, work }).kind).toBe('admitted')
  expect(knock({ flightKey, work }).kind).toBe('work')

  const late = await worked(flightKey, demandOf(knock({ flightKey })))
  nowMs += limits.workSaltMs
  knock({})
  nowMs += limits.workSaltMs
  expect(knock({ flightKey, work: late }).kind).toBe('work')
})

test('a fuller list asks for more work, and so does more work than can be taken, up to a bound', async () => {
  waiting = limits.workFromRequests
  const least = demandOf(knock({})).bits
  waiting = limits.requestsMax
  expect(demandOf(knock({})).bits).toBe(leastBits + 4)
  waiting = limits.workFromRequests
  for (let number = 0; number < limits.workFlightsBurst; number += 1) expect((await workFor()).kind).toBe('admitted')
  nowMs += limits.workRaiseMsMin - 1
  const attempts = await Promise.all(Array.from({ length: 8 }, async () => await workFor()))
  expect(attempts.some(({ kind }) => kind === 'work')).toBe(true)
  nowMs += 1
  expect((await workFor()).kind).toBe('admitted')
  expect(demandOf(knock({})).bits).toBeGreaterThanOrEqual(least)
  nowMs += limits.workLowerMs * 10
  for (let lowered = 0; lowered < 10; lowered += 1) {
    knock({})
    nowMs += limits.workLowerMs
  }
  expect(demandOf(knock({})).bits).toBe(least)
  expect(limits.workBitsMin + 4).toBeLessThan(limits.workBitsMax)
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { GatewayId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { Babel } from '../../../src/overlay/routing/babel.ts'
import { dice, Mesh, nameOf } from './mesh.ts'

const seeds = fc.integer({ min: 0, max: 2 ** 31 })

/** A connected random graph with a little more than a tree's links. */
function randomMesh(size: number, roll: () => number): Mesh {
  const mesh = new Mesh(size, roll)
  const cost = (): number => 20 + Math.floor(roll() * 800)
  for (let index = 1; index < size; index += 1) mesh.connect(index, Math.floor(roll() * index), cost())
  for (let extra = 0; extra < size; extra += 1)
    mesh.connect(Math.floor(roll() * size), Math.floor(roll() * size), cost())
  return mesh
}

function checkLoops(mesh: Mesh, destinations: readonly number[]): () => void {
  return () => {
    for (const destination of destinations) {
      const loop = mesh.loop(destination)
      if (loop !== undefined) throw new Error(`loop to ${destination}: ${loop.join(' ')} at ${mesh.nowMs} ms`)
    }
  }
}

/** One thing that happens to the network. */
function happen(mesh: Mesh, roll: () => number, destinations: readonly number[]): void {
  const link = mesh.links[Math.floor(roll() * mesh.links.length)]!
  const node = Math.floor(roll() * mesh.size)
  const destination = destinations[Math.floor(roll() * destinations.length)]!
  const what = roll()
  if (what < 0.25) mesh.cut(link)
  else if (what < 0.45) mesh.heal(link)
  else if (what < 0.65) mesh.setCost(link, 20 + Math.floor(roll() * 2_000))
  else if (what < 0.72) mesh.restart(node, false)
  else if (what < 0.76) mesh.restart(node, true)
  else if (what < 0.82) mesh.penalise(node, destination)
  else mesh.want(node, destination)
}

describe('routing in a random network of 14 gateways', () => {
  test('has no loop at any instant, whatever fails, and finds near-optimal routes once it is quiet', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const roll = dice(seed)
        const mesh = randomMesh(14, roll)
        const destinations = [0, 5, 13]
        const check = checkLoops(mesh, destinations)
        mesh.lossRate = 0.1
        mesh.run(1_000, check)
        for (let step = 0; step < 60; step += 1) {
          happen(mesh, roll, destinations)
          mesh.run(Math.floor(roll() * 1_500), check)
        }
        mesh.lossRate = 0
        const askers = [1, 7, 12]
        // a destination that lost its clock is believed again once every distance announced before has run out
        const quietMs = limits.routeExpiryMs + limits.routeSourceMs + 2 * limits.routeRequestMsMax
        for (let waitedMs = 0; waitedMs < quietMs; waitedMs += 10_000) {
          for (const from of askers) for (const to of destinations) mesh.want(from, to)
          mesh.run(10_000, waitedMs % 30_000 === 0 ? check : () => {})
        }
        for (const from of askers) {
          for (const to of destinations) {
            const optimum = mesh.optimum(from, to, 6)
            if (optimum === Infinity || from === to) continue
            const route = mesh
              .node(from)
              .routes(mesh.nowMs)
              .find(({ destination }) => destination === nameOf(to))
            expect(route?.metric, `${from} to ${to}`).toBeDefined()
            expect(route!.metric!).toBeLessThanOrEqual(optimum * 1.5 + 8 * limits.routeHysteresisMin)
          }
        }
      }),
      { numRuns: 40 },
    )
  })

  test('has no loop among honest gateways when others lie about metrics and sequence numbers, and holds little', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const roll = dice(seed)
        const mesh = randomMesh(14, roll)
        const destinations = [0, 5]
        for (const liar of [3, 8]) mesh.hostile.add(liar)
        const check = checkLoops(mesh, destinations)
        mesh.run(1_000, check)
        for (let step = 0; step < 80; step += 1) {
          happen(mesh, roll, destinations)
          for (const liar of mesh.hostile) {
            const destination = nameOf(destinations[Math.floor(roll() * destinations.length)]!)
            const seqno = Math.floor(roll() * 1_500)
            const metric = Math.floor(roll() * 100)
            mesh.say(liar, { kind: 'update', destination, seqno, metric, hops: 0, proof: new Uint8Array() })
            if (roll() < 0.3) mesh.say(liar, { kind: 'retraction', destination })
            const id = `lie-${step}-${liar}`
            mesh.say(liar, { kind: 'request', destination, id, hopsLeft: 7, seqno: seqno * 2, forMs: 1e9 })
          }
          mesh.run(Math.floor(roll() * 1_000), check)
        }
        for (let index = 0; index < mesh.size; index += 1)
          expect(mesh.node(index).size).toBeLessThanOrEqual(destinations.length)
      }),
      { numRuns: 40 },
    )
  })
})

/** A gateway with one neighbour that it serves. */
function lonely(): { readonly babel: Babel; readonly neighbour: GatewayId } {
  const neighbour = nameOf(1)
  let count = 0
  const babel = new Babel({
    self: nameOf(0),
    seqno: 1,
    prove: () => new Uint8Array(),
    newRequestId: () => String((count += 1)),
    clockSeqno: () => 1,
  })
  babel.neighbour(neighbour, { cost: 10, servesUs: true, isServed: true }, 0)
  return { babel, neighbour }
}

test('a flood of requests and updates is held within bounds', () => {
  const { babel, neighbour } = lonely()
  babel.neighbour(nameOf(2), { cost: 10, servesUs: true, isServed: true }, 0)
  let sent = 0
  for (let count = 0; count < 50_000; count += 1) {
    const destination = `other-${count}` as GatewayId
    const nowMs = count / 10
    babel.receive(neighbour, { kind: 'request', destination, id: `${count}`, hopsLeft: 7, seqno: 0, forMs: 1e9 }, nowMs)
    babel.receive(
      neighbour,
      { kind: 'update', destination, seqno: 1, metric: 0, hops: 0, proof: new Uint8Array() },
      nowMs,
    )
    sent += babel.take().length
  }
  expect(babel.size).toBeLessThanOrEqual(limits.routeSubscriptionsMax)
  expect(sent).toBeLessThanOrEqual(3 * limits.routeRequestsPerSecondMax * 6)
  babel.tick(limits.routeInterestMs + 6_000)
  babel.tick(limits.routeInterestMs + limits.routeSourceMs + 6_000)
  expect(babel.size).toBe(0)
})

test('nobody is told of a destination without asking, and who is not served hears only of the gateway itself', () => {
  const { babel, neighbour } = lonely()
  const stranger = nameOf(2)
  const destination = nameOf(3)
  babel.neighbour(stranger, { cost: 10, servesUs: undefined, isServed: false }, 0)
  babel.want(destination, 0)
  babel.take()
  const update = { kind: 'update', destination, seqno: 5, metric: 100, hops: 1, proof: new Uint8Array() } as const
  babel.receive(neighbour, update, 1)
  expect(babel.take()).toEqual([])
  const request = { kind: 'request', destination, id: 'x', hopsLeft: 5, seqno: 0, forMs: 1000 } as const
  babel.receive(stranger, request, 2)
  expect(babel.take()).toEqual([])
  babel.receive(stranger, { ...request, destination: nameOf(0) }, 3)
  expect(babel.take()).toMatchObject([{ to: stranger, message: { kind: 'update', destination: nameOf(0), metric: 0 } }])
})

test('a next hop that led nowhere comes last, the longer the more often, until it works again', () => {
  const { babel, neighbour } = lonely()
  const other = nameOf(2)
  const destination = nameOf(3)
  babel.neighbour(other, { cost: 500, servesUs: true, isServed: true }, 0)
  babel.want(destination, 0)
  for (const from of [neighbour, other])
    babel.receive(from, { kind: 'update', destination, seqno: 5, metric: 10, hops: 1, proof: new Uint8Array() }, 1)
  expect(babel.nextHops(destination, 1)).toEqual([neighbour, other])
  babel.penalise(destination, neighbour, 'swallows', 1)
  expect(babel.nextHops(destination, 1)).toEqual([other, neighbour])
  expect(babel.routes(1)[0]).toMatchObject({ nextHop: other, alternatives: 1, failure: { reason: 'swallows' } })
  babel.tick(limits.pathPenaltyMsMin + 2)
  expect(babel.nextHops(destination, limits.pathPenaltyMsMin + 2)[0]).toBe(neighbour)
})

test('behind a next hop that led nowhere, another way is found in time although news of the shorter one always come first', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const [asker, entry, thief, honest, second, destination] = [0, 1, 2, 3, 4, 5]
      const mesh = new Mesh(6, dice(seed))
      mesh.delayMsMax = 5
      mesh.connect(asker, entry, 50)
      mesh.connect(entry, thief, 50)
      mesh.connect(thief, destination, 50)
      mesh.connect(entry, honest, 200)
      mesh.connect(honest, second, 200)
      mesh.connect(second, destination, 200)
      mesh.run(1_000, () => {})
      mesh.want(asker, destination)
      mesh.run(5_000, () => {})
      expect(mesh.edges(entry, destination)[0]).toBe(thief)
      mesh.penalise(entry, destination)
      mesh.want(asker, destination)
      mesh.run(500, checkLoops(mesh, [destination]))
      expect(mesh.edges(entry, destination)[0]).toBe(honest)
      expect(mesh.edges(asker, destination)).toEqual([entry])
    }),
    { numRuns: 40 },
  )
})

test('where a next hop that led nowhere is the only one, its news are passed on all the same', () => {
  const mesh = new Mesh(4, dice(1))
  const [asker, entry, only, destination] = [0, 1, 2, 3]
  mesh.connect(asker, entry, 50)
  mesh.connect(entry, only, 50)
  mesh.connect(only, destination, 50)
  mesh.run(1_000, () => {})
  mesh.want(asker, destination)
  mesh.run(1_000, () => {})
  for (let sinceMs = 0; sinceMs < 3 * limits.routeExpiryMs; sinceMs += limits.pathPenaltyMsMin) {
    mesh.penalise(entry, destination)
    mesh.want(asker, destination)
    mesh.run(limits.pathPenaltyMsMin, () => {})
    expect(mesh.edges(asker, destination)).toEqual([entry])
  }
})

test('jitter in the metric does not move a route', () => {
  const { babel, neighbour } = lonely()
  const other = nameOf(2)
  const destination = nameOf(3)
  babel.neighbour(other, { cost: 10, servesUs: true, isServed: true }, 0)
  babel.want(destination, 0)
  const update = { kind: 'update', destination, seqno: 5, hops: 1, proof: new Uint8Array() } as const
  babel.receive(neighbour, { ...update, metric: 500 }, 1)
  babel.receive(other, { ...update, metric: 480 }, 2)
  expect(babel.nextHops(destination, 2)[0]).toBe(neighbour)
  babel.receive(other, { ...update, metric: 300 }, 3)
  expect(babel.nextHops(destination, 3)[0]).toBe(other)
})

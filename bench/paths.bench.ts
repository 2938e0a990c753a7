/**
 * How soon is a path that broke noticed and replaced, and how soon is a gateway passed by that swallows what it carries?
 * Every carrier is a process of its own: one that is killed closes its connections, one that is frozen keeps them and
 * says nothing. With TLS over TCP on loopback, so that what is seen is the patience of the gateways and no network.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Result } from '../scripts/bench.ts'
import { fromUtf8 } from '../src/core/bytes.ts'
import type { GatewayAddress, Link } from '../src/core/delivery/ports.ts'
import { openSwallower } from '../test/overlay/routing/swallower.ts'
import { openPeer, type Peer, text, within } from '../test/overlay/support.ts'
import { type Carrier, openCarrier } from './support/carrier.ts'
import { quantile } from './support/quantile.ts'

/** Which of the two carriers of a path: the opener's neighbour, or the one behind it. */
const hops = ['near', 'far'] as const
const ways = ['closed', 'silent'] as const
type Hop = (typeof hops)[number]
type Way = (typeof ways)[number]

/** Both ends look for signs of life at a pace of their own: the break falls anywhere between two looks. */
const settleMsMax = 1_500

const nowhere = ({ overlay }: Peer): GatewayAddress => ({ gateway: overlay.self, locators: [] })
const meet = async ({ overlay }: Peer, { address }: Carrier | Peer): Promise<Link> =>
  await overlay.link(address, within(20_000))
/** The neighbour over which `from` is connected to `to`. */
const neighbourTo = (from: Peer, to: Peer): string =>
  from.overlay.peers().find(({ gateway }) => gateway === to.overlay.self)?.remote ?? ''

/** As whoever has mail to send: what fails is tried again. @returns milliseconds until all of `expected` is there */
async function deliver(from: Peer, to: Peer, piece: string, expected: string): Promise<number> {
  const startedAt = performance.now()
  const link = async (): Promise<Link> =>
    await from.overlay.link(nowhere(to), within(20_000)).catch(async () => await link())
  await (await link()).send(fromUtf8(piece))
  while (text(to) !== expected) {
    if (performance.now() - startedAt > 60_000) throw new Error(`arrived: '${text(to)}', not '${expected}'`)
    await sleep(1)
  }
  return performance.now() - startedAt
}

interface Broken {
  readonly noticedMs: number
  readonly replacedMs: number
}

/** Two gateways in between, of which one has a twin. */
async function breakOnce(hop: Hop, way: Way): Promise<Broken> {
  await using scope = new AsyncDisposableStack()
  const [alice, bob] = [scope.use(await openPeer()), scope.use(await openPeer())]
  const isNear = hop === 'near'
  const only = scope.use(await openCarrier(isNear ? [bob.address] : []))
  const beyond = isNear ? [only.address] : [only.address, bob.address]
  const twins = [scope.use(await openCarrier(beyond)), scope.use(await openCarrier(beyond))]
  for (const neighbour of isNear ? twins : [only]) await meet(alice, neighbour)

  await deliver(alice, bob, 'before ', 'before ')
  await sleep(Math.random() * settleMsMax)
  const inUse = isNear ? neighbourTo(alice, bob) : neighbourTo(bob, alice)
  const carrier = twins.find(({ address }) => inUse.includes(address.gateway))
  if (carrier === undefined) throw new Error(`carried by none of the twins: ${inUse}`)
  const link = await alice.overlay.link(nowhere(bob), within(20_000))
  const startedAt = performance.now()
  const noticed = new Promise<number>((resolve) => {
    link.closed.addEventListener('abort', () => resolve(performance.now() - startedAt), { once: true })
  })
  if (way === 'silent') carrier.process.freeze()
  else await carrier.process.kill()
  link.send(fromUtf8('lost ')).catch(() => {})
  const noticedMs = await noticed
  await deliver(alice, bob, 'after', 'before after')
  return { noticedMs, replacedMs: performance.now() - startedAt }
}

/** The way through the one that swallows is the shorter one. */
async function swallowOnce(hop: Hop): Promise<number> {
  await using scope = new AsyncDisposableStack()
  const [alice, bob] = [scope.use(await openPeer()), scope.use(await openPeer())]
  const swallower = scope.use(await openSwallower(() => {}))
  await meet(swallower, bob)
  const second = scope.use(await openCarrier([bob.address]))
  const honest = scope.use(await openCarrier([second.address]))
  if (hop === 'far') await meet(alice, scope.use(await openCarrier([swallower.address, honest.address])))
  else for (const neighbour of [swallower, honest]) await meet(alice, neighbour)
  return await deliver(alice, bob, 'hello', 'hello')
}

const inMs = (name: string, values: readonly number[]): readonly Result[] => [
  { name, unit: 'ms', value: Math.round(quantile(values, 0.5)) },
  { name: `${name}_max`, unit: 'ms', value: Math.round(Math.max(...values)) },
]

export const bench: Bench = async ({ quick, say }) => {
  const results: Result[] = []
  for (const way of ways)
    for (const hop of hops) {
      const broken: Broken[] = []
      for (let round = 0; round < (quick ? 2 : 20); round += 1) broken.push(await breakOnce(hop, way))
      const replaced = broken.map(({ replacedMs }) => replacedMs)
      results.push(
        ...inMs(
          `${way}_${hop}_noticed`,
          broken.map(({ noticedMs }) => noticedMs),
        ),
      )
      results.push(...inMs(`${way}_${hop}`, replaced))
      say(`${way} at the ${hop} hop: replaced after ${replaced.map(Math.round).join(', ')} ms`)
    }
  for (const hop of hops) {
    const passed: number[] = []
    for (let round = 0; round < (quick ? 1 : 10); round += 1) passed.push(await swallowOnce(hop))
    results.push(...inMs(`swallowed_${hop}`, passed))
    say(`swallowed at the ${hop} hop: passed by after ${passed.map(Math.round).join(', ')} ms`)
  }
  return results
}

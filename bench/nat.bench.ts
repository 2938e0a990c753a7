/**
 * Do two people reach each other whatever is between them and the internet? Every ordered pair of an open address, a
 * port-restricted router, a symmetric one and two routers in a row: two fresh gateways, one public relay, contacts by
 * invitation, mail both ways. And on a local network: how soon is mail there that waited for a machine which got another
 * address, or slept? Needs root and Linux: each site is a network namespace.
 */
import type { Bench } from '../scripts/bench.ts'
import { openInternet, siteKinds } from '../test/support/net-lab/internet.ts'
import { runMove, runSleep } from '../test/support/net-lab/lan-cell.ts'
import { type Cell, runCell, startRelay } from '../test/support/net-lab/nat-cell.ts'

/** ISSUE: direct within this time where punching can work. */
const directMsMax = 10_000
const quickDirectMsMax = 3_000
/** Long enough for the other side to give the link up. */
const sleepMs = 27_000
const quickSleepMs = 5_000
const quickPairs = [
  ['open', 'restricted'],
  ['restricted', 'double'],
  ['symmetric', 'restricted'],
] as const

export const bench: Bench = async ({ quick, say }) => {
  if (process.getuid?.() !== 0) throw new Error('network namespaces need root')
  const pairs = quick ? quickPairs : siteKinds.flatMap((from) => siteKinds.map((to) => [from, to] as const))
  await using internet = await openInternet()
  await using relay = await startRelay(internet)
  const cells: Cell[] = []
  say(row('inviter', 'guest', 'mail both ways', 'connected', 'first mail', 'direct after'))
  for (const pair of pairs) {
    const cell = await runCell(internet, relay, pair, quick ? quickDirectMsMax : directMsMax)
    cells.push(cell)
    say(cellRow(cell))
  }
  const { drainMs: movedMs } = await runMove(['192.168.7.1/24', '192.168.7.2/24', '192.168.7.9/24'])
  const wokenMs = await runSleep(quick ? quickSleepMs : sleepMs)
  say(`on a local network: ${movedMs} ms after a move, ${wokenMs} ms after sleep`)
  const delivered = cells.filter((cell) => cell.delivered).length
  if (delivered < cells.length) throw new Error(`only ${delivered} of ${cells.length} pairs exchanged mail`)
  return [
    { name: 'cells', unit: 'count', value: cells.length },
    { name: 'delivered', unit: 'count', value: delivered },
    { name: 'direct', unit: 'count', value: cells.filter(({ how }) => how === 'direct').length },
    { name: 'first_mail_max', unit: 's', value: Math.max(...cells.map(({ firstMailSeconds }) => firstMailSeconds)) },
    { name: 'direct_max', unit: 's', value: Math.max(0, ...cells.map(({ directSeconds = 0 }) => directSeconds)) },
    // ISSUE: a queue drains within 5 s after the other can be reached
    { name: 'drain_moved', unit: 's', value: movedMs / 1000 },
    { name: 'drain_woken', unit: 's', value: wokenMs / 1000 },
  ]
}

const row = (...columns: readonly string[]): string =>
  columns
    .map((text) => text.padEnd(16))
    .join('')
    .trimEnd()

const cellRow = ({ from, to, delivered, how, transport, firstMailSeconds, directSeconds }: Cell): string =>
  row(
    from,
    to,
    delivered ? 'yes' : 'NO',
    `${how} ${transport ?? ''}`,
    `${firstMailSeconds.toFixed(1)} s`,
    directSeconds === undefined ? '–' : `${directSeconds.toFixed(1)} s`,
  )

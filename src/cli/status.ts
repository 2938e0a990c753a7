/** `status`, `peers`, `routes`, `doctor`, `stop`: what is running, who is connected, what is wrong. */
import type { Command } from 'commander'
import { homeDirectory } from '../config.ts'
import type { Results } from '../core/control.ts'
import type { ContactsReached, DoctorCheck, PeerView, RelaysReached } from '../core/control-views.ts'
import { hasCode, MyceliumError } from '../core/errors.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { lineFor } from './errors.ts'
import { indented, printable, shortAddress, table, time } from './format.ts'
import { pathText, sinceText } from './reach-text.ts'

export function addStatus(program: Command, environment: Environment): void {
  withCommon(program.command('status'))
    .description('Shows what is running.')
    .action(async (options: CommonOptions) => {
      const status = await withOperations(environment, options, (operations, context) => operations.status({}, context))
      print(environment, options, status, statusText)
    })

  withCommon(program.command('peers'))
    .description('Shows which gateways are connected, and how.')
    .action(async (options: CommonOptions) => {
      const peers = await withOperations(environment, options, (operations, context) => operations.peers({}, context))
      print(environment, options, peers, peersText)
    })

  withCommon(program.command('routes'))
    .description('Shows which gateways are reached through others, and how well.')
    .action(async (options: CommonOptions) => {
      const routes = await withOperations(environment, options, (operations, context) => operations.routes({}, context))
      print(environment, options, routes, routesText)
    })

  withCommon(program.command('stop'))
    .description('Ends the running gateway of this home.')
    .action(async (options: CommonOptions) => {
      const stopped = await withOperations(environment, options, (operations, context) => operations.stop({}, context))
      print(environment, options, stopped, () => 'Stopping.')
    })

  withCommon(program.command('doctor'))
    .description('Checks this gateway and says what to do. Fails when there is a problem.')
    .action(async (options: CommonOptions) => {
      const checks = await diagnose(environment, options)
      print(environment, options, checks, doctorText)
      const problems = checks.filter(({ state }) => state === 'problem').length
      if (problems > 0) throw new Error(`doctor found ${problems} problem${problems === 1 ? '' : 's'}`)
    })
}

/** A home that cannot even be opened is a finding too. */
async function diagnose(environment: Environment, options: CommonOptions): Promise<readonly DoctorCheck[]> {
  try {
    return await withOperations(environment, options, (operations, context) => operations.doctor({}, context))
  } catch (error) {
    if (!(error instanceof MyceliumError) || hasCode(error, 'key-store-locked')) throw error
    const detail = homeDirectory(options.home)
    return [{ name: 'home', state: 'problem', detail, remedy: lineFor(error) }]
  }
}

function statusText(status: Results['status']): string {
  const endpoints = Object.entries(status.listeners).flatMap(([name, at]) =>
    Array.isArray(at) ? (at as string[]).map((address) => [name, address]) : [[name, `${at.host}:${at.port}`]],
  )
  return [
    `Version   ${status.version}`,
    `Home      ${status.home} (key store: ${status.keyStore})`,
    status.running ? `Running   since ${time(status.startedAtMs)} as process ${status.pid}` : 'Running   no',
    ...(status.contactsReached === undefined ? [] : [`Contacts  ${reachedText(status.contactsReached)}`]),
    `Peers     ${status.peersConnected} connected`,
    ...(status.reachability === undefined ? [] : [`Reached   ${outsideText(status.reachability)}`]),
    ...(status.relays === undefined ? [] : [`Relays    ${relaysText(status.relays)}`]),
    `Queue     ${status.queued} waiting`,
    `Search    ${status.searchIndex.messages - status.searchIndex.waiting} of ${status.searchIndex.messages} messages indexed`,
    '',
    table(
      ['ACCOUNT', 'ADDRESS', 'CONTACTS', 'REQUESTS', ''],
      status.accounts.map(({ localName, addresses, contacts, requests, disabled, recoveryConfirmed }) => [
        localName,
        shortAddress(addresses[0] ?? '–', 40),
        String(contacts),
        String(requests),
        disabled ? 'disabled' : recoveryConfirmed ? '' : 'recovery words not confirmed',
      ]),
    ),
    ...(endpoints.length === 0 ? [] : ['', table(['LISTENER', 'AT'], endpoints)]),
  ].join('\n')
}

function reachedText(reached: ContactsReached): string {
  const { direct, relayed, unreachable, idle } = reached
  const parts = [
    [direct, 'connected directly'],
    [relayed, 'connected by relay'],
    [unreachable, 'out of reach'],
    [idle, 'not called'],
  ] as const
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return said.length === 0 ? 'none yet' : `${said.join(', ')}${unreachable > 0 ? '; see: contact list' : ''}`
}

function relaysText({ inUse, watched, accountsWithout }: RelaysReached): string {
  if (inUse === 0) return 'none in use: mail for you waits at its senders while this gateway is off; see doctor'
  const without = accountsWithout === 1 ? '1 account has none' : `${accountsWithout} accounts have none`
  return `${watched} of ${inUse} watched${accountsWithout === 0 ? '' : `; ${without}`}`
}

/** Those that matter first; strangers who come and go are counted. */
function peersText(peers: readonly PeerView[]): string {
  const nowMs = Date.now()
  const isShown = ({ contacts, state }: PeerView): boolean => contacts.length > 0 || state === 'connected'
  const shown = peers.filter(isShown).toSorted((a, b) => rankOf(a) - rankOf(b))
  const rows = shown.map((peer) => [
    peer.gateway.slice(-8),
    peer.contacts.length === 0 ? '–' : peer.contacts.join(', '),
    peer.state,
    peer.state === 'connected' ? pathText(peer) : '–',
    peer.transport ?? '–',
    sinceText(peer.sinceMs, nowMs),
  ])
  const [head, ...lines] = table(['GATEWAY', 'CONTACTS', 'STATE', 'HOW', 'TRANSPORT', 'SINCE'], rows).split('\n')
  const others = peers.length - shown.length
  return [
    head!,
    ...shown.flatMap(({ lastError, state }, index) => [
      lines[index]!,
      ...(lastError === undefined || state === 'connected' ? [] : [indented(`last trouble: ${lastError}`)]),
    ]),
    ...(others === 0 ? [] : ['', `${others} others were met since the start; --json lists them.`]),
  ].join('\n')
}

const rankOf = ({ contacts, state }: PeerView): number =>
  (contacts.length > 0 ? 0 : 2) + (state === 'connected' ? 0 : 1)

function outsideText({ state, seen, confirmed, mapped }: NonNullable<Results['status']['reachability']>): string {
  if (state === 'public')
    return `from outside, at ${[...new Set([...confirmed, ...mapped])].join(' ') || seen.join(' ')}`
  if (state === 'private') return `not from outside (seen at ${seen.join(', ')}); see doctor`
  return 'not known yet: nobody outside has tried'
}

function routesText(routes: Results['routes']): string {
  return table(
    ['DESTINATION', 'CONTACTS', 'THROUGH', 'HOPS', 'METRIC', 'RTT', 'OTHERS', 'SINCE', 'LAST FAILURE'],
    routes.map((route) => [
      route.destination.slice(-8),
      route.contacts.join(' '),
      route.nextHop === undefined ? 'no route' : [route.nextHop.slice(-8), ...route.nextHopContacts].join(' '),
      route.hops === undefined ? '–' : String(route.hops),
      milliseconds(route.metricMs),
      milliseconds(route.nextHopRttMs),
      String(route.alternatives),
      time(route.sinceMs),
      route.lastFailure === undefined
        ? '–'
        : `${route.lastFailure.reason} (${route.lastFailure.neighbour.slice(-8)}, ${time(route.lastFailure.atMs)})`,
    ]),
  )
}

const milliseconds = (ms: number | undefined): string => (ms === undefined ? '–' : `${ms.toFixed(1)} ms`)

function doctorText(checks: readonly DoctorCheck[]): string {
  const marks = { ok: 'ok      ', warning: 'warning ', problem: 'PROBLEM ' } as const
  return checks
    .map(
      ({ name, state, detail, remedy }) =>
        `${marks[state]}${name}: ${printable(detail)}${remedy === undefined ? '' : `\n        → ${printable(remedy)}`}`,
    )
    .join('\n')
}

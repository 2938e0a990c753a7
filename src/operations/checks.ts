/** What `doctor` looks at: each check says what it found and what to do. */
import { isChosen } from '../core/account/contact.ts'
import { statfsSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import type { DoctorCheck, Endpoint, Listeners } from '../core/control-views.ts'
import type { Clock } from '../core/ambient.ts'
import type { Identity } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { formatSize } from '../core/size.ts'
import type { RelayInUse } from '../core/delivery/relay/desk.ts'
import { span } from '../core/span.ts'
import type { Knowledge, Node } from '../node.ts'
import type { OperationParts } from './context.ts'
import { gatewayNames, peersOf, viewReach } from './reach.ts'
import { relaysNow } from './relays.ts'

const diskWarnBytes = 1024 * 1024 * 1024
const clockWarnBefore = Date.UTC(2026, 0, 1)
const listenerWaitMs = 1000
const relayAwayWarnMs = 3600_000

const ok = (name: string, detail: string): DoctorCheck => ({ name, state: 'ok', detail })
const warning = (name: string, detail: string, remedy: string): DoctorCheck => ({
  name,
  state: 'warning',
  detail,
  remedy,
})
const problem = (name: string, detail: string, remedy: string): DoctorCheck => ({
  name,
  state: 'problem',
  detail,
  remedy,
})

/** Of the home, running or not. */
export async function homeChecks(parts: OperationParts): Promise<readonly DoctorCheck[]> {
  return [permissions(parts), disk(parts), clock(parts), ...recovery(parts), ...room(parts)]
}

function permissions({ paths }: OperationParts): DoctorCheck {
  const isOpen = (statSync(paths.home).mode & 0o077) !== 0
  return isOpen
    ? problem('home permissions', 'other users of this machine can enter the home', `chmod 700 '${paths.home}'`)
    : ok('home permissions', 'only you can read it')
}

function disk({ paths }: OperationParts): DoctorCheck {
  const { bavail, bsize } = statfsSync(paths.home)
  const free = bavail * bsize
  const gigabytes = `${(free / 1e9).toFixed(1)} GB free`
  return free < diskWarnBytes
    ? warning('disk', gigabytes, 'free some space: mail is refused when the disk is full')
    : ok('disk', gigabytes)
}

function clock({ ambient }: OperationParts): DoctorCheck {
  const now = ambient.clock.nowMs()
  const shown = new Date(now).toISOString()
  return now < clockWarnBefore
    ? problem('clock', shown, "set the machine's clock: keys and invitations carry dates")
    : ok('clock', shown)
}

function recovery({ knowledge }: OperationParts): readonly DoctorCheck[] {
  return knowledge.accounts
    .list()
    .filter(({ recoveryConfirmed }) => !recoveryConfirmed)
    .map(({ localName }) =>
      warning(
        `recovery words of ${localName}`,
        'nobody has confirmed that they are written down',
        'mycelium-gateway recovery show, then recovery confirm',
      ),
    )
}

const nearlyFull = 0.9

function room({ knowledge: { accounts, mailboxes, quotas, fileUse } }: OperationParts): readonly DoctorCheck[] {
  const usedBytes = (identity: Identity): number => mailboxes.usedBytes(identity) + fileUse.bytes(identity)
  return accounts
    .list()
    .filter(({ identity }) => usedBytes(identity) > nearlyFull * quotas.bytesMax(identity))
    .map(({ localName, identity }) =>
      warning(
        `room of ${localName}`,
        `${formatSize(usedBytes(identity))} of ${formatSize(quotas.bytesMax(identity))} used`,
        `mycelium-gateway account quota ${localName} SIZE, or remove mail: a full account takes none`,
      ),
    )
}

/** What the checks of a running gateway look at. */
export interface LiveSources {
  readonly node: Node
  readonly knowledge: Knowledge
  readonly listeners: Listeners
  readonly clock: Clock
}

/** Of the running gateway. */
export async function liveChecks(sources: LiveSources): Promise<readonly DoctorCheck[]> {
  const named = Object.entries(sources.listeners).filter((entry): entry is [string, Endpoint] => entry[0] !== 'overlay')
  const mail = await Promise.all(named.map(async ([name, endpoint]) => await listenerCheck(name, endpoint)))
  return [
    ...mail,
    overlayCheck(sources.node),
    ...reachabilityCheck(sources.node),
    clockCheck(sources.knowledge),
    ...contactChecks(sources),
    ...relayChecks(sources),
    ...requestChecks(sources.knowledge),
    queueCheck(sources.node),
  ]
}

const nameOf = ({ contacts, accounts }: Knowledge, identity: Identity): string =>
  accounts.list().flatMap((account) => contacts.byIdentity(account.identity, identity)?.displayName ?? [])[0] ?? '?'

/** By what contacts sign: a clock that is behind makes them ignore nothing of ours, but us much of theirs. */
function clockCheck(knowledge: Knowledge): DoctorCheck {
  const { clocks } = knowledge.people
  const ahead = clocks.ahead()
  const name = 'clock against contacts'
  if (ahead.length === 0) return ok(name, clocks.heard === 0 ? 'nobody was heard yet' : `agrees with ${clocks.heard}`)
  const least = span(Math.min(...ahead.map(({ aheadMs }) => aheadMs)))
  const isOurs = ahead.length * 2 > clocks.heard
  return isOurs
    ? warning(
        name,
        `at least ${least} behind ${ahead.length} of ${clocks.heard} contacts`,
        "set this machine's clock, and let it be kept right by the network (NTP)",
      )
    : warning(
        name,
        `${ahead.map(({ contact }) => nameOf(knowledge, contact)).join(', ')} ${ahead.length === 1 ? 'is' : 'are'} at least ${least} ahead`,
        'tell them to set their clock',
      )
}

const contactsNamedMax = 10

/** One line for all, and one for each who cannot be reached, the first ones. */
function contactChecks({ node, knowledge }: LiveSources): readonly DoctorCheck[] {
  const { accounts, contacts } = knowledge
  const peers = node.overlay.peers()
  const all = accounts.list().flatMap(({ identity }) => {
    const known = contacts.list(identity)
    const names = gatewayNames(known)
    return known
      .filter((contact) => isChosen(contact) && !contact.blocked)
      .map((contact) => ({
        contact,
        reach: viewReach(node.delivery.courierOf(identity, contact.identity), peersOf(contact, peers), names),
      }))
  })
  if (all.length === 0) return [ok('contacts', 'none yet')]
  const connected = all.filter(({ reach }) => reach.state === 'connected')
  const relayed = connected.filter(({ reach }) => reach.how === 'relayed').length
  const how = relayed === 0 ? '' : `, ${relayed} of them by relay`
  const troubled = all.filter(({ reach }) => reach.problem !== undefined)
  const changed = all.filter(({ contact }) => contact.keyChanged)
  const left = troubled.length - contactsNamedMax
  return [
    ok('contacts', `${connected.length} of ${all.length} connected${how}`),
    ...troubled
      .slice(0, contactsNamedMax)
      .map(({ contact, reach }) => warning(`contact ${contact.displayName}`, reach.problem!, reach.remedy!)),
    ...(left > 0 ? [warning('contacts', `${left} more cannot be reached`, 'mycelium-gateway contact list')] : []),
    ...changed.map(({ contact }) =>
      warning(
        `key of ${contact.displayName}`,
        'it changed since you accepted it: nothing is sent',
        `mycelium-gateway contact verify ${contact.identity.slice(0, 16)}, with digits compared anew`,
      ),
    ),
  ]
}

/** Gateways that hold mail for this one while it is away. */
function relayChecks({ node, knowledge, clock }: LiveSources): readonly DoctorCheck[] {
  const { relays } = node.delivery
  if (relays === undefined) return []
  const active = knowledge.accounts.list().filter(({ disabled }) => !disabled)
  return active.flatMap(({ localName, identity }) => {
    const { current, watched } = relaysNow(relays.inUse(identity))
    const trouble = current.flatMap((relay) => relayTrouble(relay, localName, clock.nowMs()))
    return [relaysCheck(`relays of ${localName}`, current.length, watched.length), ...trouble]
  })
}

function relaysCheck(name: string, current: number, watched: number): DoctorCheck {
  if (watched > 0) return ok(name, `${watched} of ${current} watched`)
  const waits = 'mail for you waits only at its senders while this gateway is off'
  return current === 0
    ? warning(name, `none: ${waits}`, 'mycelium-gateway relay use MULTIADDR, or a contact who runs one')
    : warning(name, `none of ${current} answers now: ${waits}`, 'mycelium-gateway relay list says why')
}

function relayTrouble({ choice, watching }: RelayInUse, localName: string, nowMs: number): readonly DoctorCheck[] {
  const short = choice.relay.gateway.slice(-8)
  const name = `relay …${short} of ${localName}`
  const awayMs = nowMs - choice.seenAtMs
  const isAway = watching?.state === 'away' && watching.lastError !== undefined && awayMs > relayAwayWarnMs
  const drop = `mycelium-gateway relay drop ${short}`
  return [
    ...(isAway
      ? [warning(name, `away for ${span(awayMs)}: ${watching.lastError}`, `ask whoever runs it, or ${drop}`)]
      : []),
    ...(choice.faults > 0
      ? [
          warning(
            name,
            `it lost, withheld or forgot something: ${choice.faults} of ${limits.relayFaultsMax} faults`,
            `at ${limits.relayFaultsMax} another one takes its place; sooner with ${drop}`,
          ),
        ]
      : []),
  ]
}

/** Strangers who wait: a person decides, and the list has an end. */
function requestChecks({ accounts, contacts }: Knowledge): readonly DoctorCheck[] {
  return accounts.list().flatMap(({ localName, identity }) => {
    const waiting = contacts.requests(identity).length
    if (waiting === 0) return []
    const what = `${waiting} ${waiting === 1 ? 'person waits' : 'people wait'} to be accepted`
    const name = `requests of ${localName}`
    return waiting < limits.workFromRequests
      ? [ok(name, what)]
      : [
          warning(
            name,
            `${what}; further ones are slowed down`,
            'mycelium-gateway contact requests, then accept or block',
          ),
        ]
  })
}

async function listenerCheck(name: string, { host, port }: Endpoint): Promise<DoctorCheck> {
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect({ host, port, timeout: listenerWaitMs })
    const end = (result: boolean) => (): void => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false))
  })
  const where = `${host}:${port}`
  return answers
    ? ok(`listener ${name}`, where)
    : problem(`listener ${name}`, `${where} does not answer`, 'restart the gateway; see its log')
}

function overlayCheck({ overlay }: Node): DoctorCheck {
  const locators = overlay.locators()
  return locators.length === 0
    ? warning(
        'addresses',
        'no address that others could reach',
        'connect to a network, or set overlay.announce to a forwarded port',
      )
    : ok('addresses', `${locators.length} given to contacts`)
}

function reachabilityCheck({ overlay }: Node): readonly DoctorCheck[] {
  const found = overlay.reachability?.()
  if (found === undefined) return []
  const { state, seen, mappedBy } = found
  const name = 'reachability'
  const how = mappedBy === undefined ? '' : `; the router opened the port (${mappedBy})`
  if (state === 'public') return [ok(name, `others reach this gateway at ${seen.join(', ')}${how}`)]
  if (state === 'unknown') return [ok(name, `no gateway with a public address has tried to connect yet${how}`)]
  const ports = new Set(overlay.listeners().flatMap((address) => /\/(?:tcp|udp)\/(\d+)/.exec(address)?.[1] ?? []))
  return [
    warning(
      name,
      `others cannot connect to this gateway at ${seen.join(', ')}: connections begin here, through relays or by hole punching`,
      `nothing has to be done where mail arrives; for direct connections turn on UPnP or NAT-PMP at the router, or forward TCP and UDP ports ${[...ports].join(' and ')} to this machine`,
    ),
  ]
}

function queueCheck({ delivery }: Node): DoctorCheck {
  const waiting = delivery.waiting().filter(({ courier }) => courier?.state === 'waiting')
  return waiting.length === 0
    ? ok('queue', 'nothing waits for an unreachable contact')
    : warning(
        'queue',
        `${waiting.length} messages wait for contacts that cannot be reached`,
        'mycelium-gateway queue list says why; they are tried again by themselves',
      )
}

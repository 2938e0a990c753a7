/** Every number of a gateway that /metrics shows beside those of the process. docs/metrics.md lists them; a test compares. */
import { isChosen } from './core/account/contact.ts'
import { statfsSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Metric, Sample } from './adapters/http/metrics.ts'
import type { Imap } from './adapters/imap/adapter.ts'
import type { Smtp } from './adapters/smtp/adapter.ts'
import { Histogram } from './core/histogram.ts'
import { usedBytes } from './core/store/tree-file.ts'
import type { LoginCounts } from './counted-logins.ts'
import type { HomePaths } from './home.ts'
import type { Knowledge, Node } from './node.ts'
import { relaysNow } from './operations/relays.ts'
import { heldByRelay } from './overlay/relay-mailbox/grants.ts'

/** Seconds: from a commit that a cache took to a disk that is in trouble. */
const commitBounds = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
export const newCommitTimes = (): Histogram => new Histogram(commitBounds)

const lagResolutionMs = 50
const nearlyFull = 0.9

export interface MetricSources {
  readonly version: string
  readonly paths: HomePaths
  readonly knowledge: Knowledge
  readonly node: Node
  readonly smtp: Smtp
  readonly imap: Imap
  readonly xmpp: { readonly connections: number }
  readonly logins: Readonly<Record<'smtp' | 'imap' | 'xmpp' | 'matrix', LoginCounts>>
  readonly commits: Histogram
  /** Unix milliseconds. */
  readonly certificateNotAfterMs: () => number
}

type LagMonitor = ReturnType<typeof monitorEventLoopDelay>

/** How long the event loop was kept waiting; ends with the gateway. */
export function openLagMonitor(): LagMonitor & Disposable {
  const lag = monitorEventLoopDelay({ resolution: lagResolutionMs })
  lag.enable()
  return Object.assign(lag, { [Symbol.dispose]: () => void lag.disable() })
}

type Read = () => number | readonly Sample[]
const gauge = (name: string, help: string, read: Read): Metric => ({ name, help, type: 'gauge', read })
const counter = (name: string, help: string, read: Read): Metric => ({ name, help, type: 'counter', read })

/** One sample for each value of one label. */
const by = (label: string, values: Readonly<Record<string, number>>): readonly Sample[] =>
  Object.entries(values).map(([text, value]) => ({ labels: { [label]: text }, value }))

export function gatewayMetrics(sources: MetricSources, lag: LagMonitor): readonly Metric[] {
  return [
    gauge('mycelium_build_info', 'Always 1; the labels say what runs.', () => [
      { labels: { version: sources.version, node: process.versions.node }, value: 1 },
    ]),
    ...deliveryMetrics(sources),
    ...reachMetrics(sources),
    ...clientMetrics(sources),
    ...accountMetrics(sources),
    ...storeMetrics(sources),
    gauge('mycelium_event_loop_lag_seconds', 'How late the event loop was, since the last look.', () => {
      const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - lagResolutionMs / 1000)
      const samples = by('quantile', {
        0.5: late(lag.percentile(50)),
        0.99: late(lag.percentile(99)),
        1: late(lag.max),
      })
      lag.reset()
      return samples
    }),
    gauge(
      'mycelium_certificate_not_after_seconds',
      'Unix time at which the certificate of the listeners ends.',
      () => sources.certificateNotAfterMs() / 1000,
    ),
  ]
}

function deliveryMetrics({ node: { overlay, delivery }, knowledge }: MetricSources): readonly Metric[] {
  const { accounts, contacts } = knowledge
  return [
    gauge(
      'mycelium_peers_connected',
      'Gateways connected now.',
      () => overlay.peers().filter(({ state }) => state === 'connected').length,
    ),
    gauge('mycelium_contacts', 'Contacts of all accounts, by whether they can be reached now.', () => {
      const states = accounts.list().flatMap(({ identity }) =>
        contacts
          .list(identity)
          .filter(isChosen)
          .map((contact) => delivery.courierOf(identity, contact.identity)?.state),
      )
      const connected = states.filter((state) => state === 'connected').length
      const unreachable = states.filter((state) => state === 'waiting').length
      return by('state', { connected, unreachable, idle: states.length - connected - unreachable })
    }),
    gauge('mycelium_contact_requests', 'Strangers who wait to be accepted.', () =>
      accounts.list().reduce((sum, { identity }) => sum + contacts.requests(identity).length, 0),
    ),
    counter('mycelium_handshakes_total', 'First flights of other gateways, by what was done with them.', () => {
      const { admitted, refused, askedForWork } = delivery.counts.flights
      return by('result', { admitted, refused, asked_for_work: askedForWork })
    }),
    gauge('mycelium_queue_messages', 'Messages that wait to be acknowledged.', () => delivery.queued()),
    counter(
      'mycelium_delivered_total',
      'Messages acknowledged by a recipient’s gateway.',
      () => delivery.counts.delivered,
    ),
    counter('mycelium_failed_total', 'Messages given up: refused, or too old.', () => delivery.counts.failed),
    counter('mycelium_received_total', 'Mails put into mailboxes here.', () => delivery.counts.received),
  ]
}

/** By which ways others are reached, and what is kept for them. */
function reachMetrics({ node: { overlay, delivery }, knowledge: { store } }: MetricSources): readonly Metric[] {
  const held = (): ReturnType<typeof heldByRelay> => heldByRelay(store)
  return [
    gauge('mycelium_peer_paths', 'Gateways connected now, straight or by way of others.', () => {
      const connected = overlay.peers().filter(({ state }) => state === 'connected')
      const count = (way: 'direct' | 'relayed'): number => connected.filter(({ how }) => how === way).length
      return by('how', { direct: count('direct'), relayed: count('relayed') })
    }),
    gauge('mycelium_routes', 'Gateways to which a way through others is known or looked for.', () => {
      const routes = overlay.routes?.() ?? []
      const found = routes.filter(({ nextHop }) => nextHop !== undefined).length
      return by('state', { found, missing: routes.length - found })
    }),
    gauge('mycelium_relays_used', 'Relays of all accounts, by whether they are watched now.', () => {
      const { current, watched } = relaysNow(delivery.relays?.inUse() ?? [])
      return by('state', { watched: watched.length, away: current.length - watched.length })
    }),
    gauge('mycelium_relay_held_entries', 'Entries held for others.', () => held().entries),
    gauge('mycelium_relay_held_bytes', 'Bytes held for others, as they count.', () => held().bytes),
  ]
}

function clientMetrics({ smtp, imap, xmpp, logins }: MetricSources): readonly Metric[] {
  const { counts } = smtp
  return [
    counter('mycelium_smtp_accepted_total', 'Mails accepted from clients.', () => counts.accepted),
    counter('mycelium_smtp_accepted_bytes_total', 'Bytes of mails accepted from clients.', () => counts.acceptedBytes),
    counter('mycelium_smtp_refused_total', 'Mails refused after DATA.', () => counts.refused),
    gauge('mycelium_client_connections', 'Connections of clients, open now.', () =>
      by('protocol', { smtp: smtp.connections, imap: imap.connections, xmpp: xmpp.connections }),
    ),
    counter('mycelium_logins_total', 'Logins of clients, by how they ended.', () =>
      Object.entries(logins).flatMap(([protocol, { ok, wrong, throttled }]) =>
        Object.entries({ ok, wrong, throttled }).map(([result, value]) => ({ labels: { protocol, result }, value })),
      ),
    ),
  ]
}

function accountMetrics({ knowledge: { accounts, mailboxes, quotas, fileUse } }: MetricSources): readonly Metric[] {
  return [
    gauge('mycelium_accounts', 'Accounts, by state.', () => {
      const disabled = accounts.list().filter((account) => account.disabled).length
      return by('state', { active: accounts.list().length - disabled, disabled })
    }),
    gauge(
      'mycelium_accounts_nearly_full',
      'Accounts that use more than nine tenths of their quota.',
      () =>
        accounts
          .list()
          .filter(
            ({ identity }) =>
              mailboxes.usedBytes(identity) + fileUse.bytes(identity) > nearlyFull * quotas.bytesMax(identity),
          ).length,
    ),
    gauge('mycelium_mail_bytes', 'Mail of all accounts, as quotas count it.', () =>
      accounts.list().reduce((sum, { identity }) => sum + mailboxes.usedBytes(identity), 0),
    ),
  ]
}

function storeMetrics({ paths, commits }: MetricSources): readonly Metric[] {
  return [
    gauge('mycelium_store_bytes', 'Size of the database, without long mails.', () => usedBytes(paths.store)),
    gauge('mycelium_disk_free_bytes', 'Free space where the home lies.', () => {
      const { bavail, bsize } = statfsSync(paths.home)
      return bavail * bsize
    }),
    {
      name: 'mycelium_store_commit_seconds',
      help: 'How long commits took until they were on disk.',
      type: 'histogram',
      read: () => commits.read(),
    },
  ]
}

/** Composition root: opens every part in order and closes in reverse. Nothing else wires parts together. */
import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { openAuditLog } from './audit-log.ts'
import { openControl } from './adapters/control/adapter.ts'
import { type HttpOptions, openHttp } from './adapters/http/adapter.ts'
import { type Imap, openImap } from './adapters/imap/adapter.ts'
import { imapSummariser } from './adapters/imap/summary.ts'
import { type Matrix, openMatrix } from './adapters/matrix/adapter.ts'
import { openSmtp, type Smtp } from './adapters/smtp/adapter.ts'
import { openXmpp, type Xmpp } from './adapters/xmpp/adapter.ts'
import { openComponent } from './adapters/xmpp/component/component.ts'
import { FileUrls } from './adapters/xmpp/uploads/file-urls.ts'
import { openXmppWeb, type XmppWeb } from './adapters/xmpp/web/adapter.ts'
import { isLoopback } from './adapters/wire/channel.ts'
import type { TlsMaterial } from './adapters/wire/tls.ts'
import { type CertificateFiles, openCertificateFiles } from './certificates/certificate-files.ts'
import { openCertificates } from './certificates/certificates.ts'
import { sealedCertificates } from './certificates/sealed-certificates.ts'
import type { RunningGateway } from './cli/wiring.ts'
import { type Config, settingsOf } from './config.ts'
import type { Ambient } from './core/ambient.ts'
import { fromUtf8 } from './core/bytes.ts'
import type { Operations } from './core/control.ts'
import type { Endpoint, Listeners } from './core/control-views.ts'
import { openVault } from './core/crypto/vault.ts'
import { DisposedTogether } from './core/disposal.ts'
import type { Identity } from './core/ids.ts'
import type { Store } from './core/store/store.ts'
import { tables } from './core/store/tables.ts'
import { countedLogins, type LoginCounts, newLoginCounts } from './counted-logins.ts'
import { metricsTokenOf } from './home.ts'
import { gatewayMetrics, newCommitTimes, openLagMonitor } from './metrics.ts'
import { knownGateways } from './known-gateways.ts'
import { type Knowledge, type Node, openKnowledge, openNode } from './node.ts'
import type { OpenOptions } from './opening.ts'
import { operationsOver, systemAmbient } from './operations.ts'
import { liveChecks } from './operations/checks.ts'
import { gatewaysOf } from './overlay/bootstrap.ts'
import { newGatewayKey } from './overlay/gateway-key.ts'
import { openOverlay } from './overlay/overlay.ts'
import { renewIfRestored } from './restored.ts'
import { turnServers } from './turn-servers.ts'

export async function openGateway({
  paths,
  marker,
  passphrase,
  config,
  version,
  log,
}: OpenOptions & { readonly config: Config }): Promise<RunningGateway> {
  const ambient = systemAmbient(log)
  await using scope = new AsyncDisposableStack()
  const key = scope.use(await openVault(paths.key, passphrase))
  const commits = newCommitTimes()
  const knowledge = scope.use(
    await openKnowledge(
      {
        paths,
        key,
        storeBytesMax: config.store.bytesMax,
        quotaBytes: config.accounts.quota,
        onCommit: commits.observeMs.bind(commits),
        summariser: imapSummariser,
      },
      ambient,
    ),
  )
  await renewIfRestored(paths, knowledge, ambient)
  const certificates = scope.use(
    await openCertificates(sealedCertificates(knowledge.store), config.certificates.hostnames, ambient),
  )
  const files = certificateFiles(config, ambient, scope)
  const tls = files?.material ?? certificates.material
  const isKnown = knownGateways(knowledge, ambient.clock)
  const overlay = await openOverlay({
    config: config.overlay,
    key: await gatewayKey(knowledge.store, ambient),
    ambient,
    isKnown,
    relay: config.overlay.relay
      ? { store: knowledge.store, bytesMax: config.overlay.relayBytesMax, isKnown }
      : undefined,
  })
  const { relays, hideFromRelays } = config.overlay
  const node = scope.use(
    await openNode(knowledge, overlay, ambient, {
      relays: { relays: gatewaysOf('overlay.relays', relays), isHidden: hideFromRelays },
    }),
  )
  const fronts = scope.use(new DisposedTogether())
  const mail = await openMail(config, knowledge, node, tls, ambient, fronts)
  const listeners: { current: Listeners } = { current: { ...mail.listeners, overlay: overlay.listeners() } }
  const chat = await openChat(
    config,
    knowledge,
    node,
    {
      tls,
      domain: marker.serviceDomain,
      fileAuthority: () => authorityOf(listeners.current.https, config.certificates.hostnames),
      operations: () => operations,
    },
    ambient,
    fronts,
  )
  listeners.current = { ...listeners.current, ...chat.xmpp.listeners }
  const metrics = gatewayMetrics(
    {
      ...mail,
      xmpp: {
        get connections() {
          return chat.xmpp.connections + chat.web.connections
        },
      },
      logins: { ...mail.logins, ...chat.logins },
      version,
      paths,
      knowledge,
      node,
      commits,
      certificateNotAfterMs: files?.notAfterMs ?? (() => certificates.pair().leaf.notAfterMs),
    },
    scope.use(openLagMonitor()),
  )
  const services = {
    listeners: () => listeners.current,
    authorityPem: () => certificates.authority().certificate,
    isHealthy: () => opensItsStore(knowledge.store),
    metrics: () => metrics,
    metricsToken: metricsTokenOf(paths, ambient.random),
  }
  for (const name of ['http', 'https'] as const) {
    const { enabled, ...address } = config[name]
    if (!enabled) continue
    const options: HttpOptions = {
      name,
      ...address,
      material: tls,
      hostnames: config.certificates.hostnames,
      services,
      routes: [...chat.web.routes, ...chat.matrix.routes],
      log,
    }
    const listener = fronts.use(await openHttp(options))
    listeners.current = { ...listeners.current, [name]: listener.address }
  }
  const audit = openAuditLog(paths.audit)
  audit.append({ atMs: ambient.clock.nowMs(), action: 'gateway.started', details: { version, ...settingsOf(config) } })
  const end = Promise.withResolvers<void>()
  const operations = operationsOver({
    knowledge,
    paths,
    marker,
    version,
    ambient,
    audit,
    certificates: async () => await Promise.resolve(certificates.pair()),
    live: {
      node,
      listeners: () => listeners.current,
      startedAtMs: ambient.clock.nowMs(),
      stop: end.resolve,
      relayBytesMax: config.overlay.relay ? config.overlay.relayBytesMax : undefined,
      checks: async () =>
        await liveChecks({
          node,
          knowledge,
          listeners: listeners.current,
          clock: ambient.clock,
        }),
    },
  })
  fronts.use(await openControl({ socketPath: paths.controlSocket, operations, log }))
  const owned = scope.move()
  return {
    listeners: listeners.current,
    operations,
    ended: end.promise,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

interface Mail {
  readonly listeners: Partial<Omit<Listeners, 'overlay'>>
  readonly smtp: Smtp
  readonly imap: Imap
  readonly logins: Readonly<Record<'smtp' | 'imap', LoginCounts>>
}

async function openMail(
  config: Config,
  knowledge: Knowledge,
  { delivery }: Node,
  tls: TlsMaterial,
  ambient: Ambient,
  fronts: DisposedTogether,
): Promise<Mail> {
  const { logins, mailboxes, annotations, quotas, fileUse } = knowledge
  const quota = (account: Identity): { usedBytes: number; limitBytes: number | undefined } => {
    const bytesMax = quotas.bytesMax(account)
    const usedBytes = mailboxes.usedBytes(account) + fileUse.bytes(account)
    return { usedBytes, limitBytes: bytesMax === Infinity ? undefined : bytesMax }
  }
  const { messageBytesMax } = config.mail
  const counts = { smtp: newLoginCounts(), imap: newLoginCounts() }
  const smtp = fronts.use(
    await openSmtp(
      { ...enabled('smtp', config), ...enabled('smtps', config), messageBytesMax },
      { logins: countedLogins(logins, counts.smtp), submitter: delivery.submitter, hostname: 'localhost', tls },
      ambient,
    ),
  )
  const append = delivery.sentCopies.append.bind(delivery.sentCopies)
  const imap = fronts.use(
    await openImap(
      { ...enabled('imap', config), ...enabled('imaps', config) },
      { logins: countedLogins(logins, counts.imap), mailboxes, annotations, append, tls, messageBytesMax, quota },
      ambient,
    ),
  )
  return { smtp, imap, logins: counts, listeners: { ...smtp.listeners, ...imap.listeners } }
}

interface Chat {
  readonly xmpp: Xmpp
  readonly web: XmppWeb
  readonly matrix: Matrix
  readonly logins: Readonly<Record<'xmpp' | 'matrix', LoginCounts>>
}

async function openChat(
  config: Config,
  { store, logins, accounts, contacts, people, conversations, groupBook }: Knowledge,
  { delivery: { chats, groups, files, signals, callSignals, profiles, uploads: stored } }: Node,
  {
    tls,
    domain,
    fileAuthority,
    operations,
  }: {
    readonly tls: TlsMaterial
    readonly domain: string
    readonly fileAuthority: () => string | undefined
    readonly operations: () => Operations
  },
  ambient: Ambient,
  fronts: DisposedTogether,
): Promise<Chat> {
  const counts = { xmpp: newLoginCounts(), matrix: newLoginCounts() }
  const known = { store, accounts, contacts, people, conversations, groupBook }
  const served = { chats, groups, files, signals, callSignals, profiles, operations }
  const { hostCandidates, openRoomsFirst, component, origins } = config.xmpp
  const uploads = new FileUrls({ store, accounts, conversations, files, stored, authority: fileAuthority, ambient })
  const externalServices = turnServers(config.xmpp.turn, ambient.log)
  await using parts = new AsyncDisposableStack()
  const xmpp = parts.use(
    await openXmpp(
      { ...enabled('xmpp', config), ...enabled('xmpps', config) },
      {
        ...known,
        ...served,
        logins: countedLogins(logins, counts.xmpp),
        uploads,
        externalServices,
        hostCandidates,
        openRoomsFirst,
        tls,
        domain,
      },
      ambient,
    ),
  )
  if (component.enabled) {
    const secret = async (): Promise<string> => (await readFile(component.secretFile, 'utf8')).trim()
    const users = new Map(Object.entries(component.users))
    parts.use(await openComponent({ ...component, users, secret }, xmpp.server, ambient))
  }
  const serve = xmpp.serve.bind(xmpp)
  const web = parts.use(openXmppWeb({ serve, fileUrls: uploads, origins }, ambient))
  fronts.use(parts.move()) // its streams end before the server does
  const matrix = fronts.use(
    await openMatrix(
      {
        ...known,
        ...served,
        logins: countedLogins(logins, counts.matrix),
        uploads: stored,
        externalServices,
        hostCandidates,
        domain,
      },
      ambient,
    ),
  )
  return { xmpp, web, matrix, logins: counts }
}

/** Host and port under which programs have files: a name that is in the certificate. */
function authorityOf(https: Endpoint | undefined, hostnames: readonly string[]): string | undefined {
  if (https === undefined) return undefined
  const isEvery = https.host === '0.0.0.0' || https.host === '::'
  const own = isEvery || isLoopback(https.host) ? 'localhost' : isIPv6(https.host) ? `[${https.host}]` : https.host
  return `${isLoopback(https.host) ? own : (hostnames[0] ?? own)}:${https.port}`
}

/**
 * The office's own certificate, where the configuration names one; SIGHUP reads it again. A service that has nothing to
 * read again takes no harm from a reload, but a terminal that closes ends what runs in it.
 */
function certificateFiles(
  { certificates: { cert, key } }: Config,
  ambient: Ambient,
  scope: AsyncDisposableStack,
): CertificateFiles | undefined {
  const files = cert === '' ? undefined : scope.use(openCertificateFiles({ cert, key }, ambient))
  if (files === undefined && process.stdin.isTTY) return undefined
  const reload = (): void => void files?.reload()
  process.on('SIGHUP', reload)
  scope.defer(() => void process.off('SIGHUP', reload))
  return files
}

/** The listener's section under its own name, or nothing when it is turned off. */
function enabled<const Name extends 'smtp' | 'smtps' | 'imap' | 'imaps' | 'xmpp' | 'xmpps'>(
  name: Name,
  config: Config,
): { readonly [N in Name]?: { readonly host: string; readonly port: number } } {
  const { enabled: isOn, host, port } = config[name]
  return (isOn ? { [name]: { host, port } } : {}) as {
    readonly [N in Name]?: { readonly host: string; readonly port: number }
  }
}

/** A row can be read and authenticates: without that neither mail nor logins work. */
function opensItsStore(store: Store): boolean {
  try {
    return store.read((tx) => tx.get(tables.meta, gatewayKeyName)) !== undefined
  } catch {
    return false
  }
}

const gatewayKeyName = fromUtf8('gateway-key')

/** Made at the first start and kept: contacts know where this gateway is by it. */
async function gatewayKey(store: Store, { random }: Ambient): Promise<Uint8Array> {
  const known = store.read((tx) => tx.get(tables.meta, gatewayKeyName))
  if (known !== undefined) return known
  const made = newGatewayKey(random)
  await store.write((tx) => tx.put(tables.meta, gatewayKeyName, made))
  return made
}

/**
 * Ready-made account settings for mail programs: Thunderbird's autoconfig and Apple's configuration profile. Both are
 * made from the address that was asked for and from where our listeners are; whether such an account exists is not told.
 */
import { createHash } from 'node:crypto'
import type { Endpoint, Listeners } from '../../core/control-views.ts'
import type { Address } from '../../core/ids.ts'
import { domainOf } from '../../core/message/address.ts'
import { escapeXml } from './xml.ts'

/** A server as a program on this machine reaches it. */
interface Server {
  readonly host: string
  readonly port: number
  readonly tls: 'SSL' | 'STARTTLS'
}

const anyAddress = new Set(['127.0.0.1', '::1', '0.0.0.0', '::'])

function servers(implicit: Endpoint | undefined, startTls: Endpoint | undefined): Server[] {
  const server = (endpoint: Endpoint, tls: Server['tls']): Server => ({
    host: anyAddress.has(endpoint.host) ? 'localhost' : endpoint.host, // the name in the certificate
    port: endpoint.port,
    tls,
  })
  return [
    ...(implicit === undefined ? [] : [server(implicit, 'SSL')]),
    ...(startTls === undefined ? [] : [server(startTls, 'STARTTLS')]),
  ]
}

/** Thunderbird autoconfig 1.1. Without an address the placeholders stand for whatever the person typed. */
export function autoconfigXml(address: Address | undefined, listeners: Listeners): string {
  const domain = address === undefined ? '%EMAILDOMAIN%' : escapeXml(domainOf(address))
  const user = address === undefined ? '%EMAILADDRESS%' : escapeXml(address)
  const block = (element: string, type: string, { host, port, tls }: Server): string => `
    <${element} type="${type}">
      <hostname>${escapeXml(host)}</hostname>
      <port>${port}</port>
      <socketType>${tls}</socketType>
      <username>${user}</username>
      <authentication>password-cleartext</authentication>
    </${element}>`
  return `<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="${domain}">
    <domain>${domain}</domain>
    <displayName>${domain}</displayName>
    <displayShortName>${domain}</displayShortName>${servers(listeners.imaps, listeners.imap)
      .map((server) => block('incomingServer', 'imap', server))
      .join('')}${servers(listeners.smtps, listeners.smtp)
      .map((server) => block('outgoingServer', 'smtp', server))
      .join('')}
  </emailProvider>
</clientConfig>
`
}

/** Apple's profile with the account and our authority's certificate; `undefined` when there is no IMAP or no SMTP. */
export function mobileconfigXml(address: Address, listeners: Listeners, authorityPem: string): string | undefined {
  const [incoming] = servers(listeners.imaps, listeners.imap)
  const [outgoing] = servers(listeners.smtps, listeners.smtp)
  if (incoming === undefined || outgoing === undefined) return undefined
  const certificate = authorityPem.replaceAll(/-----[^-]+-----|\s/g, '')
  const id = (what: string): string => stableUuid(`${what}\n${address}\n${certificate}`)
  const text = escapeXml(address)
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadIdentifier</key><string>local.mycelium-gateway.${id('profile')}</string>
  <key>PayloadUUID</key><string>${id('profile')}</string>
  <key>PayloadDisplayName</key><string>Mycelium mail for ${text}</string>
  <key>PayloadDescription</key><string>Mail account on the gateway of this machine, and the certificate that it uses.</string>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadType</key><string>com.apple.security.root</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>local.mycelium-gateway.${id('authority')}</string>
      <key>PayloadUUID</key><string>${id('authority')}</string>
      <key>PayloadDisplayName</key><string>Mycelium gateway on this machine</string>
      <key>PayloadContent</key><data>${certificate}</data>
    </dict>
    <dict>
      <key>PayloadType</key><string>com.apple.mail.managed</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>local.mycelium-gateway.${id('mail')}</string>
      <key>PayloadUUID</key><string>${id('mail')}</string>
      <key>PayloadDisplayName</key><string>${text}</string>
      <key>EmailAccountType</key><string>EmailTypeIMAP</string>
      <key>EmailAccountDescription</key><string>${text}</string>
      <key>EmailAddress</key><string>${text}</string>
      <key>IncomingMailServerAuthentication</key><string>EmailAuthPassword</string>
      <key>IncomingMailServerHostName</key><string>${escapeXml(incoming.host)}</string>
      <key>IncomingMailServerPortNumber</key><integer>${incoming.port}</integer>
      <key>IncomingMailServerUseSSL</key><true/>
      <key>IncomingMailServerUsername</key><string>${text}</string>
      <key>OutgoingMailServerAuthentication</key><string>EmailAuthPassword</string>
      <key>OutgoingMailServerHostName</key><string>${escapeXml(outgoing.host)}</string>
      <key>OutgoingMailServerPortNumber</key><integer>${outgoing.port}</integer>
      <key>OutgoingMailServerUseSSL</key><true/>
      <key>OutgoingMailServerUsername</key><string>${text}</string>
      <key>OutgoingPasswordSameAsIncomingPassword</key><true/>
    </dict>
  </array>
</dict>
</plist>
`
}

/** The same for the same content (RFC 9562 §5.8), so that installing a profile again replaces the earlier one. */
function stableUuid(content: string): string {
  const hex = createHash('sha256').update(content).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

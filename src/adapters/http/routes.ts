/** What the HTTP listeners answer: settings for mail programs, the authority's certificate, health, metrics. */
import type { Listeners } from '../../core/control.ts'
import { equalConstantTime, fromUtf8 } from '../../core/bytes.ts'
import { parseAddress } from '../../core/message/address.ts'
import { autoconfigXml, mobileconfigXml } from './mail-settings.ts'
import { exposition, type Metric, processMetrics } from './metrics.ts'

export interface HttpServices {
  /** Where the mail listeners are now. */
  readonly listeners: () => Listeners
  /** Certificate of the local authority, PEM. */
  readonly authorityPem: () => string
  /** Whether mail can be accepted now. */
  readonly isHealthy: () => boolean
  /** Beside those of the process. */
  readonly metrics: () => readonly Metric[]
  /** Bearer token for /metrics. */
  readonly metricsToken: string
}

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

const text = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  body: `${body}\n`,
  headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
})

const xml = (body: string): Answer => ({
  status: 200,
  body,
  headers: { 'content-type': 'text/xml; charset=utf-8' },
})

interface Asked {
  readonly query: URLSearchParams
  readonly authorization: string | undefined
}
type Route = (asked: Asked, services: HttpServices) => Answer

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/', index],
  ['/healthz', (_, { isHealthy }) => (isHealthy() ? text(200, 'ok') : text(503, 'not ready'))],
  ['/metrics', metrics],
  ['/mail/config-v1.1.xml', autoconfig],
  ['/.well-known/autoconfig/mail/config-v1.1.xml', autoconfig],
  ['/apple.mobileconfig', mobileconfig],
  [
    '/ca.crt',
    (_, { authorityPem }) => ({
      status: 200,
      body: authorityPem(),
      headers: {
        'content-type': 'application/x-x509-ca-cert',
        'content-disposition': 'attachment; filename="mycelium-gateway.crt"',
      },
    }),
  ],
])

/** @param target the request target in origin form */
export function route(
  method: string | undefined,
  target: string,
  authorization: string | undefined,
  services: HttpServices,
): Answer {
  const url = /^\/(?!\/)/.test(target) ? URL.parse(target, 'http://localhost') : null
  const handle = url === null ? undefined : routes.get(url.pathname)
  if (url === null || handle === undefined) return text(404, 'nothing here')
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET and HEAD', { allow: 'GET, HEAD' })
  return handle({ query: url.searchParams, authorization }, services)
}

function index(): Answer {
  return text(
    200,
    [
      'mycelium-gateway',
      '',
      '/apple.mobileconfig?address=YOUR-ADDRESS            Apple Mail: account and certificate',
      '/mail/config-v1.1.xml?emailaddress=YOUR-ADDRESS     Thunderbird and others: server settings',
      '/ca.crt                                             certificate of this gateway’s authority',
      '/healthz                                            whether it is up',
    ].join('\n'),
  )
}

function autoconfig({ query }: Asked, { listeners }: HttpServices): Answer {
  const asked = query.get('emailaddress') ?? ''
  const address = asked === '' ? undefined : parseAddress(asked)
  if (asked !== '' && address === undefined) return text(400, 'emailaddress is not NAME@DOMAIN')
  return xml(autoconfigXml(address, listeners()))
}

function mobileconfig({ query }: Asked, { listeners, authorityPem }: HttpServices): Answer {
  const address = parseAddress(query.get('address') ?? '')
  if (address === undefined) return text(400, 'give your address: /apple.mobileconfig?address=NAME@DOMAIN')
  const profile = mobileconfigXml(address, listeners(), authorityPem())
  if (profile === undefined) return text(404, 'IMAP or SMTP is off')
  return {
    status: 200,
    body: profile,
    headers: {
      'content-type': 'application/x-apple-aspen-config',
      'content-disposition': 'attachment; filename="mycelium.mobileconfig"',
    },
  }
}

function metrics({ authorization }: Asked, services: HttpServices): Answer {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? ''
  if (!equalConstantTime(fromUtf8(token), fromUtf8(services.metricsToken))) {
    return text(401, 'needs the token in the home’s metrics-token file', { 'www-authenticate': 'Bearer' })
  }
  return {
    status: 200,
    body: exposition([...processMetrics, ...services.metrics()]),
    headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
  }
}

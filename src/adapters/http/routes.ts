/** What the HTTP listeners answer: settings for mail programs, the authority's certificate, health, metrics. */
import type { Listeners } from '../../core/control-views.ts'
import { equalConstantTime, fromUtf8 } from '../../core/bytes.ts'
import { parseAddress } from '../../core/message/address.ts'
import { autoconfigXml, mobileconfigXml } from './mail-settings.ts'
import { type HttpAnswer, type HttpRequest, type HttpRoute, textAnswer } from '../wire/http.ts'
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

const xml = (body: string): HttpAnswer => ({
  status: 200,
  body,
  headers: { 'content-type': 'text/xml; charset=utf-8' },
})

type Handler = (request: HttpRequest, services: HttpServices) => HttpAnswer

const handlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['/', index],
  ['/healthz', (_, { isHealthy }) => (isHealthy() ? textAnswer(200, 'ok') : textAnswer(503, 'not ready'))],
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

export const ownRoutes = (services: HttpServices): readonly HttpRoute[] =>
  [...handlers].map(([path, handle]) => ({
    path,
    methods: ['GET', 'HEAD'],
    bodyBytesMax: 0,
    origins: [],
    answer: (request) => handle(request, services),
  }))

function index(): HttpAnswer {
  return textAnswer(
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

function autoconfig({ query }: HttpRequest, { listeners }: HttpServices): HttpAnswer {
  const asked = query.get('emailaddress') ?? ''
  const address = asked === '' ? undefined : parseAddress(asked)
  if (asked !== '' && address === undefined) return textAnswer(400, 'emailaddress is not NAME@DOMAIN')
  return xml(autoconfigXml(address, listeners()))
}

function mobileconfig({ query }: HttpRequest, { listeners, authorityPem }: HttpServices): HttpAnswer {
  const address = parseAddress(query.get('address') ?? '')
  if (address === undefined) return textAnswer(400, 'give your address: /apple.mobileconfig?address=NAME@DOMAIN')
  const profile = mobileconfigXml(address, listeners(), authorityPem())
  if (profile === undefined) return textAnswer(404, 'IMAP or SMTP is off')
  return {
    status: 200,
    body: profile,
    headers: {
      'content-type': 'application/x-apple-aspen-config',
      'content-disposition': 'attachment; filename="mycelium.mobileconfig"',
    },
  }
}

function metrics({ headers: { authorization } }: HttpRequest, services: HttpServices): HttpAnswer {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? ''
  if (!equalConstantTime(fromUtf8(token), fromUtf8(services.metricsToken))) {
    return textAnswer(401, 'needs the token in the home’s metrics-token file', { 'www-authenticate': 'Bearer' })
  }
  return {
    status: 200,
    body: exposition([...processMetrics, ...services.metrics()]),
    headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
  }
}

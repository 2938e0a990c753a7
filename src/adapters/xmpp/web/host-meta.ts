/** XEP-0156: where a web client finds its server, as seen from under the name by which it asked. */
import { type HttpRequest, type HttpRoute } from '../../wire/http.ts'
import { escaped } from '../element.ts'

interface Link {
  readonly rel: string
  readonly href: string
}

function links({ isSecure, authority }: HttpRequest): readonly Link[] {
  const s = isSecure ? 's' : ''
  return [
    { rel: 'urn:xmpp:alt-connections:websocket', href: `ws${s}://${authority}/xmpp-websocket` },
    { rel: 'urn:xmpp:alt-connections:xbosh', href: `http${s}://${authority}/http-bind` },
  ]
}

const xrd = (request: HttpRequest): string =>
  `<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n${links(request)
    .map(({ rel, href }) => `  <Link rel='${rel}' href='${escaped(href)}'/>\n`)
    .join('')}</XRD>\n`

/** @param origins of pages that may ask, beside the listener's own */
export const hostMetaRoutes = (origins: readonly string[]): readonly HttpRoute[] => [
  {
    path: '/.well-known/host-meta',
    methods: ['GET', 'HEAD'],
    bodyBytesMax: 0,
    origins,
    answer: (request) => ({
      status: 200,
      headers: { 'content-type': 'application/xrd+xml; charset=utf-8' },
      body: xrd(request),
    }),
  },
  {
    path: '/.well-known/host-meta.json',
    methods: ['GET', 'HEAD'],
    bodyBytesMax: 0,
    origins,
    answer: (request) => ({
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: `${JSON.stringify({ links: links(request) })}\n`,
    }),
  },
]

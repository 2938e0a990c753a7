/**
 * UPnP Internet Gateway Device 1 and 2: finds the router's control URL by SSDP on the own network, and asks it for a
 * port. Only the default router is heard and spoken to: any device may answer a search.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Router } from './default-gateway.ts'
import type { Mapper, MappingRequest } from './mapping.ts'

const group = '239.255.255.250'
const searchPort = 1900
const targets = [1, 2].map((version) => `urn:schemas-upnp-org:device:InternetGatewayDevice:${version}`)
const services = ['WANIPConnection:2', 'WANIPConnection:1', 'WANPPPConnection:1'].map(
  (name) => `urn:schemas-upnp-org:service:${name}`,
)
/** The device keeps permanent leases only; another port is taken (IGD 1 §2.4.16). */
const [onlyPermanentLeases, conflict] = [725, 718]

interface Control {
  readonly url: URL
  readonly service: string
}

export const upnp: Mapper = async (router, request, signal) => {
  const control = await controlOf(router, signal)
  if (request.lifetimeSeconds === 0) {
    await act(control, 'DeletePortMapping', mappingKey(request), signal)
    return { externalPort: request.port, externalHost: '', lifetimeSeconds: 0 }
  }
  await add(control, router, request, signal)
  const answer = await act(control, 'GetExternalIPAddress', {}, signal)
  const externalHost = textIn(answer, 'NewExternalIPAddress') ?? ''
  return { externalPort: request.port, externalHost, lifetimeSeconds: request.lifetimeSeconds }
}

const mappingKey = ({ port, protocol }: MappingRequest): Record<string, string> => ({
  NewRemoteHost: '',
  NewExternalPort: String(port),
  NewProtocol: protocol.toUpperCase(),
})

async function add(control: Control, { own }: Router, request: MappingRequest, signal: AbortSignal): Promise<void> {
  const lease = (seconds: number): Record<string, string> => ({
    ...mappingKey(request),
    NewInternalPort: String(request.port),
    NewInternalClient: own,
    NewEnabled: '1',
    NewPortMappingDescription: 'mycelium-gateway',
    NewLeaseDuration: String(seconds),
  })
  try {
    await act(control, 'AddPortMapping', lease(request.lifetimeSeconds), signal)
  } catch (error) {
    if (!(error instanceof MyceliumError) || error.details['upnp'] !== onlyPermanentLeases) throw error
    await act(control, 'AddPortMapping', lease(0), signal)
  }
}

async function controlOf(router: Router, signal: AbortSignal): Promise<Control> {
  const location = await search(router, signal)
  const description = await exchange(location, { method: 'GET' }, signal)
  for (const service of services) {
    const block = [...description.matchAll(/<service>([\s\S]*?)<\/service>/g)].find(
      ([, content]) => textIn(content!, 'serviceType') === service,
    )
    const path = block === undefined ? undefined : textIn(block[1]!, 'controlURL')
    if (path === undefined || !URL.canParse(path, location.href)) continue
    return { url: ofRouter(new URL(path, location), router), service }
  }
  throw new MyceliumError('unreachable', { reason: 'the router has no connection service' })
}

/** @returns the URL of the router's description @throws `unreachable` */
async function search(router: Router, signal: AbortSignal): Promise<URL> {
  const socket = createSocket('udp4')
  const { promise, resolve, reject } = Promise.withResolvers<URL>()
  promise.catch(() => {}) // it may fail before anybody waits for it
  const stop = AbortSignal.any([signal, AbortSignal.timeout(limits.mappingAnswerMsMax)])
  const giveUp = (): void => reject(new MyceliumError('unreachable', { reason: 'the router does not answer a search' }))
  stop.addEventListener('abort', giveUp, { once: true })
  socket.on('error', giveUp)
  socket.on('message', (bytes, { address }) => {
    const location = /^location:\s*(\S+)\s*$/im.exec(bytes.toString('latin1'))?.[1]
    if (address === router.host && location !== undefined && isOfRouter(location, router)) resolve(new URL(location))
  })
  try {
    socket.bind(0, router.own)
    await once(socket, 'listening', { signal: stop })
    socket.setMulticastInterface(router.own)
    socket.setMulticastTTL(2)
    for (const target of targets) {
      const lines = [
        'M-SEARCH * HTTP/1.1',
        `HOST: ${group}:${searchPort}`,
        'MAN: "ssdp:discover"',
        'MX: 1',
        `ST: ${target}`,
      ]
      socket.send(`${lines.join('\r\n')}\r\n\r\n`, searchPort, group, () => {})
    }
    return await promise
  } finally {
    stop.removeEventListener('abort', giveUp)
    socket.close()
  }
}

const isOfRouter = (text: string, router: Router): boolean =>
  URL.canParse(text) && new URL(text).protocol === 'http:' && new URL(text).hostname === router.host

function ofRouter(url: URL, router: Router): URL {
  if (!isOfRouter(url.href, router))
    throw new MyceliumError('unreachable', { reason: 'the router names another machine' })
  return url
}

async function act(
  { url, service }: Control,
  action: string,
  fields: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string> {
  const content = Object.entries(fields)
    .map(([name, value]) => `<${name}>${value}</${name}>`)
    .join('')
  const body = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${service}">${content}</u:${action}></s:Body></s:Envelope>`
  const headers = { 'Content-Type': 'text/xml; charset="utf-8"', SOAPAction: `"${service}#${action}"` }
  return await exchange(url, { method: 'POST', headers, body }, signal)
}

/** One request without redirects. @throws `unreachable` */
async function exchange(
  url: URL,
  {
    method,
    headers = {},
    body = '',
  }: { readonly method: string; readonly headers?: Record<string, string>; readonly body?: string },
  signal: AbortSignal,
): Promise<string> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.mappingAnswerMsMax)])
  const length = { 'Content-Length': String(Buffer.byteLength(body)) }
  const request = httpRequest(url, { method, headers: { ...headers, ...length }, signal: bounded, agent: false })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  request.on('error', (error) =>
    reject(new MyceliumError('unreachable', { reason: 'the router hung up' }, { cause: error })),
  )
  request.on('response', (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
      if (text.length > limits.mappingTextCharsMax) request.destroy(new Error('too long'))
    })
    response.on('end', () => {
      if (response.statusCode === 200) return resolve(text)
      const code = Number(textIn(text, 'errorCode') ?? response.statusCode)
      const reason = code === conflict ? 'the port is taken at the router' : `the router refuses (UPnP ${code})`
      reject(new MyceliumError('unreachable', { reason, upnp: code }))
    })
  })
  request.end(body)
  return await promise
}

const textIn = (xml: string, element: string): string | undefined =>
  new RegExp(`<(?:\\w+:)?${element}>\\s*([^<]*?)\\s*</`).exec(xml)?.[1]

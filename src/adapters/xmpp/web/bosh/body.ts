/** The `<body/>` that wraps what BOSH carries (XEP-0124 §4): read with its bounds, and written. */
import { type Element, elements, escaped } from '../../element.ts'
import { readElement } from '../element-reader.ts'

const bindNs = 'http://jabber.org/protocol/httpbind'
const xboshNs = 'urn:xmpp:xbosh'

export interface RequestBody {
  readonly rid: number
  readonly sid: string | undefined
  readonly attrs: Readonly<Record<string, string>>
  readonly isTerminate: boolean
  /** XEP-0206 §5: the stream begins anew after login. */
  readonly isRestart: boolean
  readonly stanzas: readonly Element[]
  /** Octets of all of it. */
  readonly bytes: number
}

/** @returns undefined for what is no body with a request's number @throws StreamError for what is no bounded, plain XML */
export function parseBody(text: string, bytesMax: number): RequestBody | undefined {
  const { name, ns, attrs, ...body } = readElement(text, bytesMax)
  const rid = /^\d{1,16}$/.test(attrs.rid ?? '') ? Number(attrs.rid) : undefined
  if (name !== 'body' || ns !== bindNs || rid === undefined || rid > ridMax) return undefined
  return {
    rid,
    sid: attrs.sid,
    attrs,
    isTerminate: attrs.type === 'terminate',
    isRestart: hasRestart(text),
    stanzas: elements({ name, ns, attrs, ...body }),
    bytes: Buffer.byteLength(text),
  }
}

/** XEP-0124 §14: whatever number a session begins with, it does not come over 2⁵³. */
const ridMax = 2 ** 53 - 1

/** In its start tag; attributes with a prefix are not among those of an element. */
function hasRestart(text: string): boolean {
  const start = /^(?:\s*<\?[^>]*>)?\s*<(?:"[^"]*"|'[^']*'|[^>"'])*>/.exec(text)?.[0] ?? ''
  return /\s[\w.-]+:restart\s*=\s*["'](?:true|1)["']/.test(start)
}

/** XEP-0124 §17.2: why a session is over. */
export type BindingCondition =
  | 'bad-request'
  | 'host-unknown'
  | 'item-not-found'
  | 'policy-violation'
  | 'remote-stream-error'
  | 'system-shutdown'

/** @param inside elements that stand for themselves */
export function writeBody(attrs: Readonly<Record<string, string | number | undefined>>, inside = ''): string {
  const written = Object.entries(attrs).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}='${escaped(String(value))}'`],
  )
  const prefix = Object.keys(attrs).some((key) => key.startsWith('xmpp:')) ? ` xmlns:xmpp='${xboshNs}'` : ''
  return `<body xmlns='${bindNs}'${prefix}${written.join('')}>${inside}</body>`
}

export const terminated = (condition: BindingCondition): string => writeBody({ type: 'terminate', condition })

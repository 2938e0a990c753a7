/** The words of XEP-0198 on the wire. */
import { child, type Element, el } from '../element.ts'
import type { Session } from '../session.ts'
import type { Sessions } from '../sessions.ts'
import { StreamError, type Transport } from '../transport.ts'
import { managementNs } from './management.ts'

const stanzasNs = 'urn:ietf:params:xml:ns:xmpp-stanzas'

const failed = (condition: 'item-not-found' | 'unexpected-request' | 'internal-server-error', h?: number): Element =>
  el(`failed ${managementNs}`, { h }, el(`${condition} ${stanzasNs}`))

/** @param h what was handled of the stream that is over */
export const failedResumption = (h: number | undefined): Element => failed('item-not-found', h)

export const isEnable = ({ ns, name }: Element): boolean => ns === managementNs && name === 'enable'

/** XEP-0198 §3: before there is a resource. */
export const tooEarly = (): Element => failed('unexpected-request')

/** An xs:unsignedInt. */
const unsigned = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 ? Number(text) : undefined

/** @throws StreamError for one that cannot be */
export function resumeOf(element: Element): { readonly previous: string; readonly h: number } | undefined {
  if (element.ns !== managementNs || element.name !== 'resume') return undefined
  const { previd: previous } = element.attrs
  const h = unsigned(element.attrs.h)
  if (previous === undefined || h === undefined) throw new StreamError('invalid-xml')
  return { previous, h }
}

/** Both forms of an xs:boolean. */
const isTrue = (text: string | undefined): boolean => text === 'true' || text === '1'

export const enableOf = (
  parent: Element,
): { readonly mayResume: boolean; readonly wanted: number | undefined } | undefined => {
  const enable = child(parent, `enable ${managementNs}`)
  return enable === undefined ? undefined : wishesOf(enable)
}

const wishesOf = ({ attrs }: Element): { readonly mayResume: boolean; readonly wanted: number | undefined } => ({
  mayResume: isTrue(attrs.resume),
  wanted: unsigned(attrs.max),
})

/** Of a client that is bound. @throws StreamError */
export async function answerManagement(
  element: Element,
  session: Session,
  transport: Transport,
  sessions: Sessions,
): Promise<void> {
  const { management } = session
  if (isEnable(element) && management === undefined) {
    const { mayResume, wanted } = wishesOf(element)
    const enabling = await sessions.prepareManagement(session, mayResume, wanted)
    transport.send(enabling.element)
    enabling.begin()
  } else if (element.name === 'r' && management !== undefined) {
    management.answer()
  } else if (element.name === 'a' && management !== undefined) {
    const h = unsigned(element.attrs.h)
    if (h === undefined) throw new StreamError('invalid-xml')
    management.acknowledge(h)
  } else {
    transport.send(failed('unexpected-request'))
  }
}

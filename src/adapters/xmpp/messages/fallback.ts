/** XEP-0428: which characters of a body stand there only for programs that know less. Counted in code points. */
import { child, childrenNamed, type Element, el } from '../element.ts'
import { ns } from './namespaces.ts'

/** The body without what stands in for `feature`; empty where all of it does. */
export function withoutFallback(message: Element, body: string, feature: string): string {
  const said = childrenNamed(message, `fallback ${ns.fallback}`).find(({ attrs }) => attrs.for === feature)
  if (said === undefined) return body
  const ranges = childrenNamed(said, 'body').map(({ attrs }) => attrs)
  if (ranges.length === 0) return said.children.some((one) => typeof one !== 'string') ? body : ''
  const characters = Array.from(body)
  const isStandIn = new Uint8Array(characters.length)
  for (const { start = '0', end = String(characters.length) } of ranges)
    if (/^\d{1,9}$/.test(start) && /^\d{1,9}$/.test(end)) isStandIn.fill(1, Number(start), Number(end))
  return characters.filter((_, at) => isStandIn[at] === 0).join('')
}

/** @param until how many code points from the beginning on; all where absent */
export const fallbackFor = (feature: string, until?: number): Element =>
  el(
    `fallback ${ns.fallback}`,
    { for: feature },
    until === undefined ? el(`body ${ns.fallback}`) : el(`body ${ns.fallback}`, { start: 0, end: until }),
  )

export const hasHint = (message: Element, hint: string): boolean => child(message, `${hint} ${ns.hints}`) !== undefined

/** An answered text as it stands before the answer. */
export const quoted = (text: string): string =>
  text
    .split('\n')
    .map((line) => `> ${line}\n`)
    .join('')

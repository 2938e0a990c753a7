/**
 * HTML of others, written anew from what it may hold: a few elements without attributes, and links. No script, no style,
 * nothing that is loaded from anywhere, every element closed. Linear, never throws.
 */
import { decodeEntities } from './html-entities.ts'

const kept: ReadonlySet<string> = new Set(
  (
    'a b blockquote br caption code del div em h1 h2 h3 h4 h5 h6 hr i ins li ol p pre s small span strike strong sub sup ' +
    'table tbody td tfoot th thead tr u ul'
  ).split(' '),
)
const empty: ReadonlySet<string> = new Set(['br', 'hr'])
/** Elements that go with all that stands in them; Matrix repeats what is answered in `mx-reply`. */
const gone: ReadonlyMap<string, RegExp> = new Map(
  ['script', 'style', 'title', 'template', 'textarea', 'noscript', 'iframe', 'object', 'svg', 'math', 'mx-reply'].map(
    (name) => [name, new RegExp(`</${name}[^>]{0,100}>`, 'gi')],
  ),
)
const depthMax = 64
const linkCharsMax = 2048

export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

export function safeHtml(html: string): string {
  const source = html.toWellFormed().replaceAll(/[^\P{Cc}\t\n\r]/gu, '')
  const open: string[] = []
  let out = ''
  let at = 0
  while (at < source.length) {
    const start = source.indexOf('<', at)
    out += source.slice(at, start < 0 ? source.length : start).replaceAll('>', '&gt;')
    if (start < 0) break
    const tag = tagAt(source, start)
    at = tag.end
    if (tag.kind === 'text') out += '&lt;'
    else if (tag.kind === 'open') out += opened(tag, open)
    else if (tag.kind === 'close') out += closed(tag.name, open)
  }
  return (
    out +
    [...open]
      .toReversed()
      .map((name) => `</${name}>`)
      .join('')
  )
}

type Tag =
  | { readonly kind: 'text' | 'nothing'; readonly end: number }
  | { readonly kind: 'open'; readonly name: string; readonly written: string; readonly end: number }
  | { readonly kind: 'close'; readonly name: string; readonly end: number }

function tagAt(source: string, start: number): Tag {
  if (source.startsWith('<!--', start)) return { kind: 'nothing', end: after(source, '-->', start + 4) }
  if (/[!?]/.test(source.charAt(start + 1))) return { kind: 'nothing', end: after(source, '>', start) }
  const [, slash, written] = /^<(\/?)([a-z][a-z\d-]{0,30})/i.exec(source.slice(start, start + 34)) ?? []
  if (written === undefined) return { kind: 'text', end: start + 1 }
  const name = written.toLowerCase()
  const end = after(source, '>', start)
  if (slash === '/') return kept.has(name) ? { kind: 'close', name, end } : { kind: 'nothing', end }
  const closing = gone.get(name)
  if (closing === undefined) {
    const tag = source.slice(start, end)
    return kept.has(name) ? { kind: 'open', name, written: tag, end } : { kind: 'nothing', end }
  }
  closing.lastIndex = end
  const found = closing.exec(source)
  return { kind: 'nothing', end: found === null ? source.length : closing.lastIndex }
}

function opened({ name, written }: { readonly name: string; readonly written: string }, open: string[]): string {
  if (empty.has(name)) return `<${name}>`
  if (open.length >= depthMax) return ''
  const link = name === 'a' ? linkOf(written) : undefined
  if (name === 'a' && link === undefined) return ''
  open.push(name)
  return link === undefined ? `<${name}>` : `<a href="${escapeHtml(link)}">`
}

/** Up to the element that it closes; nothing where none is open. */
function closed(name: string, open: string[]): string {
  const index = open.lastIndexOf(name)
  if (index < 0) return ''
  return open
    .splice(index)
    .toReversed()
    .map((one) => `</${one}>`)
    .join('')
}

/** What a person may follow by hand; nothing else has a link's place here. */
function linkOf(tag: string): string | undefined {
  const [, double, single, bare] =
    /\shref\s{0,9}=\s{0,9}(?:"([^"]{0,4096})"|'([^']{0,4096})'|([^\s"'>]{1,4096}))/i.exec(tag) ?? []
  const link = decodeEntities(double ?? single ?? bare ?? '').trim()
  return /^(?:https?:\/\/|mailto:|xmpp:|matrix:)[^\s\p{Cc}]+$/iu.test(link) && link.length <= linkCharsMax
    ? link
    : undefined
}

function after(source: string, mark: string, from: number): number {
  const at = source.indexOf(mark, from)
  return at < 0 ? source.length : at + mark.length
}

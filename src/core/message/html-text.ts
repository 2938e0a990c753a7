/** What an HTML text shows: its words as a reader finds them. Linear, never throws. */
import { toLatin1 } from '../bytes.ts'
import { decodeEntities } from './html-entities.ts'

/** Elements that show nothing, each with what ends it. */
const unseen: ReadonlyMap<string, RegExp> = new Map(
  ['script', 'style', 'title', 'template'].map((name) => [name, new RegExp(`</${name}`, 'gi')]),
)

/** Elements that stand inside a word or a line; every other one ends it. */
const inline: ReadonlySet<string> = new Set(
  (
    'a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark nobr q s samp small span ' +
    'strike strong sub sup time tt u var wbr o:p'
  ).split(' '),
)

/** One space wherever there is white space or an element begins or ends that is not part of a line. */
export function textOfHtml(html: string): string {
  let text = ''
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    text += html.slice(at, open < 0 ? html.length : open)
    if (open < 0) break
    const tag = tagAt(html, open)
    text += tag.text
    at = tag.end
  }
  return decodeEntities(text)
    .replaceAll(/[\u00ad\u200b\ufeff]/g, '') // soft hyphens and the like: a word goes on behind them
    .replaceAll(/\s+/g, ' ')
    .trim()
}

/** What stands for the tag, comment or lone `<` that begins here, and where it ends. */
function tagAt(html: string, open: number): { readonly text: string; readonly end: number } {
  if (html.startsWith('<!--', open)) return { text: '', end: after(html, '-->', open + 4) }
  if (!/[a-z/!?]/i.test(html.charAt(open + 1))) return { text: '<', end: open + 1 }
  const name = /^\/?([a-z][a-z\d:]*)/i.exec(html.slice(open + 1, open + 24))?.[1]?.toLowerCase() ?? ''
  const end = after(html, '>', open)
  const closing = html.charAt(open + 1) === '/' ? undefined : unseen.get(name)
  if (closing === undefined) return { text: inline.has(name) ? '' : ' ', end }
  closing.lastIndex = end
  const closed = closing.exec(html)
  return { text: ' ', end: closed === null ? html.length : after(html, '>', closed.index) }
}

function after(html: string, mark: string, from: number): number {
  const at = html.indexOf(mark, from)
  return at < 0 ? html.length : at + mark.length
}

/** What the text says about itself, for a part that says nothing. */
export const charsetOfHtml = (octets: Uint8Array): string | undefined =>
  /<meta[^>]{0,200}charset\s{0,9}=\s{0,9}["']?([\w-]{1,40})/i.exec(toLatin1(octets.subarray(0, 1024)))?.[1]

const lineEnds = /<br\b[^>]{0,200}>|<hr>|<\/(?:p|div|li|tr|h[1-6]|blockquote|pre|ul|ol|table)\s{0,9}>/gi

/** The same with line breaks where a reader sees them; of HTML without scripts (safe-html.ts). */
export const linesOfHtml = (html: string): string =>
  html
    .replaceAll(/\s+/g, ' ')
    .split(lineEnds)
    .map(textOfHtml)
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim()

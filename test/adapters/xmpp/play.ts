/**
 * Plays: dialogues of clients with their gateways as text (test/transcripts/xmpp/*.play). `#` begins a remark;
 * `alice/desk> <iq …/>` is sent by that client, `alice/desk< <iq …/>` must be what comes to it next, `alice/desk leaves` ends its
 * stream, `alice/desk is there` sends its first presence, and nobody looks at the presences that come of it; a line that is indented goes on with the one before. In what must come, `*` stands for any value of an attribute or any
 * content, `{name}` for any text that is the same wherever it stands, and `...` among the children for further ones in any
 * order. `{alice}` and `{bob}` are their JIDs as others see them.
 */
import { type Element, elements, isElement, serialise, textOf } from '../../../src/adapters/xmpp/element.ts'
import { xml } from './xml.ts'

export type Step =
  | { readonly at: number; readonly who: string; readonly does: 'send' | 'get'; readonly text: string }
  | { readonly at: number; readonly who: string; readonly does: 'leave' }
  | { readonly at: number; readonly who: string; readonly does: 'appear' }

/** @throws SyntaxError with the number of the line */
export function readPlay(text: string): readonly Step[] {
  const steps: Step[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const at = index + 1
    if (line.trim() === '' || line.startsWith('#')) continue
    const last = steps.at(-1)
    if (/^\s/.test(line)) {
      if (last === undefined || last.does === 'leave' || last.does === 'appear')
        throw new SyntaxError(`line ${at} goes on with nothing`)
      steps[steps.length - 1] = { ...last, text: `${last.text}\n${line.trim()}` }
      continue
    }
    const [, who, sign, rest = ''] = /^([a-z]+\/[\w-]+)(>|<| leaves$| is there$)\s*(.*)$/.exec(line) ?? []
    if (who === undefined) throw new SyntaxError(`line ${at} is no line of a play`)
    if (sign === ' is there') steps.push({ at, who, does: 'appear' })
    else if (sign === ' leaves') steps.push({ at, who, does: 'leave' })
    else steps.push({ at, who, does: sign === '>' ? 'send' : 'get', text: rest })
  }
  return steps
}

/** What `{name}` stands for, so far. */
export type Captures = Map<string, string>

/** A stanza to be sent. @throws Error for a name that nothing has given yet */
export const toSend = (text: string, captures: Captures): Element =>
  xml(
    text.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const value = captures.get(name)
      if (value === undefined) throw new SyntaxError(`{${name}} is not known yet`)
      return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll("'", '&apos;')
    }),
  )

/** @returns what is not as expected, in words; `undefined` if all is */
export function difference(expected: string, got: Element, captures: Captures): string | undefined {
  const before = new Map(captures)
  const found = differs(xml(expected), got, captures)
  if (found === undefined) return undefined
  captures.clear()
  for (const [name, value] of before) captures.set(name, value)
  return `${found}\nexpected ${expected}\ngot      ${serialise(got)}`
}

function differs(expected: Element, got: Element, captures: Captures): string | undefined {
  const where = `<${expected.name}>`
  if (expected.name !== got.name || expected.ns !== got.ns)
    return `${where} of ${expected.ns} expected, <${got.name}> of ${got.ns} came`
  for (const [name, value] of Object.entries(expected.attrs)) {
    const actual = got.attrs[name]
    if (actual === undefined) return `${where} has no ${name}`
    if (!fits(value, actual, captures)) return `${name} of ${where} is ${actual} where ${value} was expected`
  }
  const more = Object.keys(got.attrs).find((name) => expected.attrs[name] === undefined)
  if (more !== undefined) return `${where} has ${more}, which was not expected`
  return differsInside(expected, got, captures)
}

function differsInside(expected: Element, got: Element, captures: Captures): string | undefined {
  const where = `<${expected.name}>`
  const wanted = elements(expected)
  const text = textOf(expected).trim()
  if (text === '*' && wanted.length === 0) return undefined
  const isOpen = text === '...'
  const actual = elements(got)
  if (wanted.length === 0 && !isOpen) {
    if (actual.length > 0) return `${where} holds <${actual[0]!.name}>, which was not expected`
    return fits(textOf(expected), textOf(got), captures) ? undefined : `${where} says ${textOf(got)}, not ${text}`
  }
  if (text !== '' && !isOpen) return `${where}: text beside elements is not for plays`
  if (!isOpen && got.children.some((node) => !isElement(node) && node.trim() !== '')) return `${where} holds text`
  if (!isOpen && wanted.length !== actual.length)
    return `${where} holds ${actual.length} elements instead of ${wanted.length}`
  const left = [...actual]
  for (const one of wanted) {
    if (isOpen) {
      const index = left.findIndex((candidate) => {
        const tried = new Map(captures)
        if (differs(one, candidate, tried) !== undefined) return false
        for (const [name, value] of tried) captures.set(name, value)
        return true
      })
      if (index < 0) return `${where} does not hold ${serialise(one)}`
      left.splice(index, 1)
      continue
    }
    const found = differs(one, left.shift()!, captures)
    if (found !== undefined) return found
  }
  return undefined
}

/** @param pattern `*`, or text in which `{name}` stands for a part */
function fits(pattern: string, actual: string, captures: Captures): boolean {
  if (pattern === '*') return true
  const names: string[] = []
  const source = pattern.split(/(\{\w+\})/).map((piece) => {
    const name = /^\{(\w+)\}$/.exec(piece)?.[1]
    if (name === undefined) return literal(piece)
    const known = captures.get(name)
    if (known !== undefined) return literal(known)
    if (names.includes(name)) return `\\${names.indexOf(name) + 1}`
    names.push(name)
    return '(.+)'
  })
  const match = new RegExp(`^${source.join('')}$`, 'su').exec(actual)
  for (const [index, name] of names.entries()) if (match !== null) captures.set(name, match[index + 1]!)
  return match !== null
}

const literal = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)

/** A cursor over one command's octets (RFC 9051 §9): pulls atoms, strings, lists and numbers, and stops at the first mistake. */
import { toLatin1 } from '../../core/bytes.ts'
import { limits } from '../../core/limits.ts'
import { textOf } from './encoder.ts'
import { type NumberSet, parseNumberSet } from './number-set.ts'

/** Lines without their literal marks, and literals, in turn. */
export type Piece =
  | { readonly kind: 'line'; readonly octets: Uint8Array }
  | { readonly kind: 'literal'; readonly octets: Uint8Array; readonly isBinary: boolean }

/** The command is not what the grammar allows: a BAD with these words. */
export class BadSyntax extends Error {
  override readonly name = 'BadSyntax'
}

const space = 0x20
const quoteMark = 0x22
const backslash = 0x5c
const open = 0x28
const close = 0x29

const charTable = (excluded: string): Uint8Array => {
  const table = new Uint8Array(256)
  for (let octet = 0x21; octet < 0x7f; octet += 1) table[octet] = excluded.includes(String.fromCharCode(octet)) ? 0 : 1
  return table
}
const atomChars = charTable('(){%*"\\]')
const astringChars = charTable('(){%*"\\')
const patternChars = charTable('(){"\\')
const tagChars = charTable('(){%*"\\+')
const only = (chars: string): Uint8Array => {
  const table = new Uint8Array(256)
  for (const char of chars) table[char.charCodeAt(0)] = 1
  return table
}
const setChars = only('0123456789:,*$')
const digitChars = only('0123456789')
const wordChars = only('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-')

export class Arguments {
  readonly #pieces: readonly Piece[]
  #index = 0
  #line: Uint8Array
  #at = 0
  #depth = 0

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces
    const first = pieces[0]
    this.#line = first?.kind === 'line' ? first.octets : new Uint8Array()
  }

  get atEnd(): boolean {
    return this.#at >= this.#line.length && this.#index >= this.#pieces.length - 1
  }

  /** Nothing follows but spaces. */
  get isOver(): boolean {
    let at = this.#at
    while (this.#line[at] === space) at += 1
    return at >= this.#line.length && this.#index >= this.#pieces.length - 1
  }

  /** Nothing may follow; a trailing space is forgiven, as clients send it. */
  end(): void {
    while (this.#line[this.#at] === space) this.#at += 1
    if (!this.atEnd) throw new BadSyntax('Unexpected arguments')
  }

  sp(): void {
    if (this.#line[this.#at] !== space) throw new BadSyntax(this.atEnd ? 'Missing arguments' : 'Expected a space')
    this.#at += 1
  }

  /** Takes the character if it is next. */
  skip(char: string): boolean {
    if (this.#line[this.#at] !== char.charCodeAt(0)) return false
    this.#at += 1
    return true
  }

  expect(char: string): void {
    if (!this.skip(char)) throw new BadSyntax(`Expected ${char}`)
  }

  isNext(char: string): boolean {
    return this.#line[this.#at] === char.charCodeAt(0)
  }

  /** Where the cursor stands in its line, to come back to with `reset` before any literal is taken. */
  mark(): number {
    return this.#at
  }
  reset(mark: number): void {
    this.#at = mark
  }

  /** Gives back the one character that `skip` took. */
  unskip(): void {
    this.#at -= 1
  }

  tag(): string {
    return this.#run(tagChars, 'a tag')
  }
  atom(): string {
    return this.#run(atomChars, 'an atom')
  }
  /** An atom in upper case: names of commands, keys and items. */
  name(): string {
    return this.atom().toUpperCase()
  }

  number(max = 0xffff_ffff): number {
    const text = this.atom()
    const value = /^\d{1,19}$/.test(text) ? Number(text) : Number.NaN
    if (!(value <= max)) throw new BadSyntax('Expected a number')
    return value
  }

  astring(): string {
    return this.#isString() ? this.string() : this.#run(astringChars, 'a string')
  }
  string(): string {
    return textOf(this.stringOctets().octets)
  }
  /** `NIL` is `undefined`. */
  nstring(): string | undefined {
    if (this.#isString()) return this.string()
    if (this.name() !== 'NIL') throw new BadSyntax('Expected a string or NIL')
    return undefined
  }
  /** `NIL` is `undefined`. */
  nstringOctets(): Uint8Array | undefined {
    if (this.#isString()) return this.stringOctets().octets
    if (this.name() !== 'NIL') throw new BadSyntax('Expected a string or NIL')
    return undefined
  }
  astringOctets(): Uint8Array {
    return this.#isString() ? this.stringOctets().octets : Buffer.from(this.#run(astringChars, 'a string'), 'latin1')
  }
  /** LIST's pattern: `*` and `%` may stand in it. */
  pattern(): string {
    return this.#isString() ? this.string() : this.#run(patternChars, 'a mailbox pattern')
  }
  flag(): string {
    return this.skip('\\') ? `\\${this.atom()}` : this.atom()
  }

  isDigitNext(): boolean {
    const octet = this.#line[this.#at] ?? 0
    return octet >= 0x30 && octet <= 0x39
  }
  /** A number inside a section or range. */
  digits(): number {
    const text = this.#run(digitChars, 'a number')
    const value = Number(text)
    if (text.length > 10 || value > 0xffff_ffff) throw new BadSyntax('Number too large')
    return value
  }
  /** Letters and dots, in upper case: the words inside a section. */
  word(): string {
    return this.#run(wordChars, 'a section').toUpperCase()
  }

  /** `$` is the saved search result. */
  set(): NumberSet | '$' {
    const text = this.#run(setChars, 'a number set')
    if (text === '$') return text
    const set = parseNumberSet(text)
    if (set === undefined) throw new BadSyntax('Invalid number set')
    return set
  }
  isSetNext(): boolean {
    return setChars[this.#line[this.#at] ?? 0] === 1
  }

  /** Parenthesised items with single spaces between, possibly none. */
  list<T>(item: () => T): T[] {
    this.openList()
    const items: T[] = []
    if (this.#line[this.#at] !== close) {
      do items.push(item())
      while (this.skip(' '))
    }
    this.closeList()
    return items
  }
  openList(): void {
    this.expect('(')
    this.#depth += 1
    if (this.#depth > limits.imapNestingMax) throw new BadSyntax('Too many nested parentheses')
  }
  closeList(): void {
    this.expect(')')
    this.#depth -= 1
  }
  isListNext(): boolean {
    return this.#line[this.#at] === open
  }

  /** A quoted string or literal as octets. */
  stringOctets(): { readonly octets: Uint8Array; readonly isBinary: boolean } {
    if (this.#line[this.#at] === quoteMark) return { octets: this.#quoted(), isBinary: false }
    const literal = this.#at === this.#line.length ? this.#pieces[this.#index + 1] : undefined
    if (literal?.kind !== 'literal') throw new BadSyntax('Expected a string')
    this.#index += 2
    this.#at = 0
    const next = this.#pieces[this.#index]
    this.#line = next?.kind === 'line' ? next.octets : new Uint8Array()
    return literal
  }

  #isString(): boolean {
    return this.#line[this.#at] === quoteMark || (this.#at === this.#line.length && !this.atEnd)
  }

  #quoted(): Uint8Array {
    const line = this.#line
    let at = this.#at + 1
    let escaped = false
    while (at < line.length && line[at] !== quoteMark) {
      if (line[at] === backslash) {
        escaped = true
        at += 1
        if (line[at] !== backslash && line[at] !== quoteMark) throw new BadSyntax('Invalid escape in a quoted string')
      }
      if (line[at] === 0) throw new BadSyntax('NUL in a string')
      at += 1
    }
    if (at >= line.length) throw new BadSyntax('Unfinished quoted string')
    const raw = line.subarray(this.#at + 1, at)
    this.#at = at + 1
    if (!escaped) return raw
    return Uint8Array.from(raw).filter(unescapedAt(raw))
  }

  #run(table: Uint8Array, what: string): string {
    const line = this.#line
    let end = this.#at
    while (end < line.length && table[line[end]!] === 1) end += 1
    if (end === this.#at) throw new BadSyntax(this.atEnd ? 'Missing arguments' : `Expected ${what}`)
    const text = toLatin1(line.subarray(this.#at, end))
    this.#at = end
    return text
  }
}

/** Keeps every octet that is not an escaping backslash. */
function unescapedAt(raw: Uint8Array): (octet: number, index: number) => boolean {
  let escaping = false
  return (_octet, index) => {
    escaping = !escaping && raw[index] === backslash
    return !escaping
  }
}

/**
 * The configuration file: JSON (RFC 8259) with `//` and block comments and commas before a closing bracket, so that it can
 * explain itself. Remembers the line of every key, for whoever has to find what is wrong.
 */

export class ConfigSyntaxError extends Error {
  override readonly name = 'ConfigSyntaxError'
  readonly line: number

  constructor(message: string, line: number) {
    super(message)
    this.line = line
  }
}

export interface ParsedFile {
  readonly value: unknown
  /** Line of each key, by dotted path. */
  readonly lines: ReadonlyMap<string, number>
}

const depthMax = 16
const blank = /(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y
const string = /"(?:[^"\\\u0000-\u001f]|\\.)*"/y
const scalar = /-?\d[\d.eE+-]*|true|false|null/y

/** @throws ConfigSyntaxError */
export function parseConfigText(text: string): ParsedFile {
  const reader = new Reader(text)
  const value = reader.value([])
  reader.end()
  return { value, lines: reader.lines }
}

class Reader {
  readonly #text: string
  #at = 0
  readonly lines = new Map<string, number>()

  constructor(text: string) {
    this.#text = text.replace(/^\uFEFF/, '')
  }

  value(path: readonly string[]): unknown {
    if (path.length > depthMax) throw this.#error('too deep')
    if (this.#take('{')) return this.#object(path)
    if (this.#take('[')) return this.#array(path)
    const found = this.#match(string) ?? this.#match(scalar)
    if (found === undefined) throw this.#error('a value is expected')
    return this.#parsed(found)
  }

  end(): void {
    this.#skip()
    if (this.#at < this.#text.length) throw this.#error('nothing may follow')
  }

  #object(path: readonly string[]): Record<string, unknown> {
    const entries = new Map<string, unknown>()
    while (!this.#take('}')) {
      this.#skip()
      const line = this.#line()
      const quoted = this.#match(string)
      if (quoted === undefined) throw this.#error('a key in double quotes is expected')
      const key = this.#parsed(quoted) as string
      if (entries.has(key)) throw this.#error(`"${key}" is there twice`)
      if (!this.#take(':')) throw this.#error(': is expected')
      this.lines.set([...path, key].join('.'), line)
      entries.set(key, this.value([...path, key]))
      this.#separator('}')
    }
    return Object.fromEntries(entries)
  }

  #array(path: readonly string[]): unknown[] {
    const values: unknown[] = []
    while (!this.#take(']')) {
      this.#skip()
      this.lines.set([...path, values.length].join('.'), this.#line())
      values.push(this.value([...path, String(values.length)]))
      this.#separator(']')
    }
    return values
  }

  #separator(close: string): void {
    if (this.#take(',')) return
    this.#skip()
    if (this.#text[this.#at] !== close) throw this.#error(`, or ${close} is expected`)
  }

  #parsed(json: string): unknown {
    try {
      return JSON.parse(json)
    } catch {
      throw this.#error('not a value')
    }
  }

  #take(mark: string): boolean {
    this.#skip()
    if (this.#text[this.#at] !== mark) return false
    this.#at += 1
    return true
  }

  #match(pattern: RegExp): string | undefined {
    this.#skip()
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }

  #skip(): void {
    blank.lastIndex = this.#at
    this.#at += blank.exec(this.#text)![0].length
  }

  #line(): number {
    return this.#text.slice(0, this.#at).split('\n').length
  }

  #error(message: string): ConfigSyntaxError {
    return new ConfigSyntaxError(message, this.#line())
  }
}

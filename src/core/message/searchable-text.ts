/** Everything in a message that a reader would call its text, decoded, and folded so that case does not matter. */
import { type HeaderField, parseHeaders, parseMailboxList } from './header.ts'
import { decodeWords, parseParameters } from './mime-words.ts'
import { type MimePart, parseMime } from './mime.ts'
import { textOfHtml } from './html-text.ts'
import { eachPart, isReadable, textOfPart } from './mime-text.ts'

/**
 * Case, composition and width folded away on both sides, about as i;unicode-casemap does (RFC 5051). A final sigma is
 * one, since a needle may end where the word goes on. Half a surrogate pair, which UTF-8 cannot say, is no character.
 */
export const foldText = (text: string): string =>
  text.toWellFormed().normalize('NFKC').toLowerCase().replaceAll('ς', 'σ')

const addressFields: ReadonlySet<string> = new Set(['from', 'to', 'cc', 'bcc', 'sender', 'reply-to'])

/** Decoded and folded. Addresses with comments or spaces inside stand there once more, as the envelope has them (RFC 9051 §6.4.4). */
export function foldedValue({ name, value }: HeaderField): string {
  const folded = foldText(decodeWords(value))
  if (!addressFields.has(name) || !/\(|\s@|@\s/.test(value)) return folded
  return [folded, ...parseMailboxList(value).map(({ address }) => foldText(address))].join(' ')
}

/** Made of what is asked for, when it is asked. */
export class SearchableText {
  readonly #bytes: Uint8Array
  #fields: readonly HeaderField[] | undefined
  #header: string | undefined
  #bodies: readonly string[] | undefined

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get fields(): readonly HeaderField[] {
    this.#fields ??= parseHeaders(this.#bytes).fields
    return this.#fields
  }

  /** `name: value` of each field, one a line; file names once more, with their encodings undone. */
  get header(): string {
    this.#header ??= [...this.fields.map(lineOf), ...fileNames(this.fields)].join('\n')
    return this.#header
  }

  /** Texts of the parts, headers of inner parts and embedded messages, names of attachments. */
  get bodies(): readonly string[] {
    this.#bodies ??= bodiesOf(this.#bytes)
    return this.#bodies
  }

  includes(folded: string): boolean {
    return this.header.includes(folded) || this.bodyIncludes(folded)
  }

  bodyIncludes(folded: string): boolean {
    return this.bodies.some((body) => body.includes(folded))
  }
}

/** Does a field of this name (lower case) hold the text? An empty text asks whether there is one. */
export const fieldIncludes = (fields: readonly HeaderField[], name: string, folded: string): boolean =>
  fields.some((field) => field.name === name && foldedValue(field).includes(folded))

const lineOf = (field: HeaderField): string => `${field.name}: ${foldedValue(field)}`

function bodiesOf(bytes: Uint8Array): readonly string[] {
  const root = parseMime(bytes)
  const texts: string[] = []
  for (const part of eachPart(root)) {
    const { fields } = part.headers
    if (part !== root) texts.push(...fields.map(lineOf), ...fileNames(fields))
    if (isReadable(part)) texts.push(...textsOf(bytes, part))
  }
  return texts
}

/** An HTML text is found by what it shows, and by what it is made of: both are asked for. */
function textsOf(bytes: Uint8Array, part: MimePart): readonly string[] {
  const text = textOfPart(bytes, part)
  const folded = foldText(text)
  return part.subtype === 'html' ? [folded, foldText(textOfHtml(text))] : [folded]
}

/** As a person sees them: RFC 2231 and its continuations undone. */
function fileNames(fields: readonly HeaderField[]): readonly string[] {
  const names: string[] = []
  for (const { name, value } of fields) {
    if (name !== 'content-type' && name !== 'content-disposition') continue
    const { parameters } = parseParameters(value)
    for (const parameter of ['name', 'filename']) {
      const given = parameters.get(parameter)
      if (given !== undefined) names.push(foldText(given))
    }
  }
  return names
}

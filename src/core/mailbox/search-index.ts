/** What the index knows of messages, for one search: packs opened once, needles cut once. */
import { hasCode } from '../errors.ts'
import type { ContentId } from '../ids.ts'
import type { ReadTx } from '../store/store.ts'
import { isKeptField, keptField, keptFieldIncludes } from './search-fields.ts'
import { readSearchPack, type SearchPack } from './search-packs.ts'
import { type Leaf, sentWithin } from './search.ts'
import { mayInclude, type Needle, needleOf } from './search-signature.ts'

/** Each distinct text of a query, made ready. */
export class Needles {
  readonly #made = new Map<string, Needle>()

  of(folded: string): Needle {
    let needle = this.#made.get(folded)
    if (needle === undefined) this.#made.set(folded, (needle = needleOf(folded)))
    return needle
  }
}

/** One pack while it is looked at, inside a read transaction. */
export class OpenPack {
  readonly #tx: ReadTx
  readonly #accountKey: Uint8Array
  readonly #pack: string
  readonly #needles: Needles
  #fields: SearchPack | undefined | 'unread' = 'unread'
  #signatures: SearchPack | undefined | 'unread' = 'unread'
  readonly #inFields = new Map<Needle, boolean>()
  /** A row of it cannot be read: then only messages can tell. */
  isDamaged = false

  constructor(tx: ReadTx, accountKey: Uint8Array, pack: string, needles: Needles) {
    this.#tx = tx
    this.#accountKey = accountKey
    this.#pack = pack
    this.#needles = needles
  }

  /** `undefined`: only the message can tell. */
  judge(leaf: Leaf, content: ContentId): boolean | undefined {
    if (leaf.kind === 'header')
      return isKeptField(leaf.name) ? this.#header(leaf, content) : this.#otherHeader(leaf, content)
    if (leaf.kind === 'sent-date') {
      const fields = this.#fieldsRow?.get(content)
      return fields === undefined ? undefined : sentWithin(keptField(fields, 'date'), leaf.period)
    }
    if (leaf.kind !== 'text' && leaf.kind !== 'body') return undefined
    if (this.#lacks(content, leaf.text)) return false
    return leaf.kind === 'text' ? this.#anyFieldIncludes(leaf.text, content) : undefined
  }

  #header({ name, text }: { readonly name: string; readonly text: string }, content: ContentId): boolean | undefined {
    const row = this.#fieldsRow
    const fields = row?.get(content)
    if (row === undefined || fields === undefined) return undefined
    const needle = this.#needles.of(text)
    return this.#isInFields(row, needle) && keptFieldIncludes(fields, name, needle)
  }

  /** Fields that are not kept are in the signed text, with their names. */
  #otherHeader(
    { name, text }: { readonly name: string; readonly text: string },
    content: ContentId,
  ): false | undefined {
    return this.#lacks(content, text) || this.#lacks(content, `${name}: `) ? false : undefined
  }

  /** Kept values are text of the header: what they have need not be read. */
  #anyFieldIncludes(text: string, content: ContentId): true | undefined {
    const row = this.#fieldsRow
    const needle = this.#needles.of(text)
    if (row === undefined || !this.#isInFields(row, needle)) return undefined
    return row.get(content)?.includes(needle.octets) === true ? true : undefined
  }

  #lacks(content: ContentId, text: string): boolean {
    const signature = this.#signaturesRow?.get(content)
    return signature !== undefined && !mayInclude(signature, this.#needles.of(text))
  }

  #isInFields(row: SearchPack, needle: Needle): boolean {
    let isIn = this.#inFields.get(needle)
    if (isIn === undefined) this.#inFields.set(needle, (isIn = row.includes(needle.octets)))
    return isIn
  }

  get #fieldsRow(): SearchPack | undefined {
    if (this.#fields === 'unread') this.#fields = this.#read('fields')
    return this.#fields
  }
  get #signaturesRow(): SearchPack | undefined {
    if (this.#signatures === 'unread') this.#signatures = this.#read('signature')
    return this.#signatures
  }
  #read(kind: 'fields' | 'signature'): SearchPack | undefined {
    try {
      return readSearchPack(this.#tx, this.#accountKey, { pack: this.#pack, kind })
    } catch (error) {
      if (!hasCode(error, 'store-corrupt')) throw error
      this.isDamaged = true
      return undefined
    }
  }
}

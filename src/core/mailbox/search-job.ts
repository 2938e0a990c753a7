/** What costs too much time for the gateway's own thread: reading texts for the index, and long messages for a search. */
import { fromUtf8 } from '../bytes.ts'
import { hasCode } from '../errors.ts'
import { limits } from '../limits.ts'
import { type MessageSource, readableMessage } from '../message/mime-source.ts'
import { SearchableText } from '../message/searchable-text.ts'
import { keepFields } from './search-fields.ts'
import type { IndexedText } from './search-packs.ts'
import { matches, type SearchKey } from './search.ts'
import { SignatureMaker } from './search-signature.ts'

export type SearchJob =
  | { readonly kind: 'index'; readonly messages: readonly Uint8Array[] }
  /** A long message, of so many octets, that the worker reads through windows. */
  | { readonly kind: 'index-long'; readonly size: number }
  | { readonly kind: 'match-long'; readonly size: number; readonly key: SearchKey }

let maker: SignatureMaker | undefined

/** @param read of the long message */
export async function runSearchJob(
  job: SearchJob,
  read: MessageSource['read'],
): Promise<readonly IndexedText[] | IndexedText | boolean> {
  maker ??= new SignatureMaker()
  const signer = maker
  if (job.kind === 'index') return job.messages.map((message) => indexText(message, signer))
  const source = { size: job.size, read }
  return job.kind === 'index-long' ? await indexLong(source, signer) : matches(job.key, await readableMessage(source))
}

/** Folding takes up to twenty times the memory of a text: one that is too long for doing that unasked has no entry. */
async function indexLong(source: MessageSource, signer: SignatureMaker): Promise<IndexedText> {
  try {
    return indexText(await readableMessage(source, limits.searchIndexedTextBytesMax), signer)
  } catch (error) {
    if (!hasCode(error, 'too-large')) throw error
    return { fields: undefined, signature: undefined }
  }
}

/** All its texts in one run: what is in one of them is in this. */
function indexText(message: Uint8Array, signer: SignatureMaker): IndexedText {
  const text = new SearchableText(message)
  const whole = fromUtf8([text.header, ...text.bodies].join('\n'))
  return { fields: keepFields(text.fields), signature: signer.sign(whole) }
}

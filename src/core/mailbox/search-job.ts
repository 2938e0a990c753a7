/** What costs too much time for the gateway's own thread: reading texts for the index, and long messages for a search. */
import { fromUtf8 } from '../bytes.ts'
import { SearchableText } from '../message/searchable-text.ts'
import { keepFields } from './search-fields.ts'
import type { IndexedText } from './search-packs.ts'
import { matches, type SearchKey } from './search.ts'
import { SignatureMaker } from './search-signature.ts'

export type SearchJob =
  | { readonly kind: 'index'; readonly messages: readonly Uint8Array[] }
  | { readonly kind: 'match'; readonly message: Uint8Array; readonly key: SearchKey }

let maker: SignatureMaker | undefined

export function runSearchJob(job: SearchJob): readonly IndexedText[] | boolean {
  if (job.kind === 'match') return matches(job.key, job.message)
  maker ??= new SignatureMaker()
  const signer = maker
  return job.messages.map((message) => indexText(message, signer))
}

/** All its texts in one run: what is in one of them is in this. */
function indexText(message: Uint8Array, signer: SignatureMaker): IndexedText {
  const text = new SearchableText(message)
  const whole = fromUtf8([text.header, ...text.bodies].join('\n'))
  return { fields: keepFields(text.fields), signature: signer.sign(whole) }
}

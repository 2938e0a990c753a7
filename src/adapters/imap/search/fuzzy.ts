/**
 * FUZZY (RFC 6203): a text is looked for word by word, in any order; long words also by how they begin and with the
 * letters that people mistype. All of it is said in plain search keys, so that the index serves it too.
 */
import { limits } from '../../../core/limits.ts'
import type { SearchKey } from '../../../core/mailbox/search.ts'

/** From the text as it is written down to anything like its words; each finds what those before it find. */
export const closenesses = ['phrase', 'words', 'beginnings', 'spellings'] as const
export type Closeness = (typeof closenesses)[number]

type TextKey = Extract<SearchKey, { readonly text: string }>

/** Texts in `key` looked for less exactly. What a NOT excludes stays exact. */
export function loosened(key: SearchKey, closeness: Closeness): SearchKey {
  if (closeness === 'phrase' || key.kind === 'not') return key
  if ('keys' in key) return { ...key, keys: key.keys.map((inner) => loosened(inner, closeness)) }
  return 'text' in key ? loosenedText(key, closeness) : key
}

function loosenedText(key: TextKey, closeness: Exclude<Closeness, 'phrase'>): SearchKey {
  const words = wordsOf(key.text)
  if (words.length === 0) return key
  const looked = words.map((word) => anyOf(key, alternatives(word, closeness)))
  const all: SearchKey = looked.length === 1 ? looked[0]! : { kind: 'and', keys: looked }
  // The phrase itself counts too: it may hold signs that no word has.
  return { kind: 'or', keys: [key, all] }
}

const anyOf = (key: TextKey, texts: readonly string[]): SearchKey =>
  texts.length === 1 ? { ...key, text: texts[0]! } : { kind: 'or', keys: texts.map((text) => ({ ...key, text })) }

/** Different words; more than limits.ts allows are one text again. */
function wordsOf(text: string): readonly string[] {
  const words = [...new Set(text.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [])]
  return words.length > limits.imapFuzzyWordsMax ? [] : words
}

const beginningCharsMin = 5
const spellingCharsMin = 4
const spellingCharsMax = 16

function alternatives(word: string, closeness: Exclude<Closeness, 'phrase'>): readonly string[] {
  const letters = Array.from(word)
  if (closeness === 'words') return [word]
  // `meetings` finds `meeting`, `meet` does not find `me`.
  const isLong = letters.length > beginningCharsMin
  const beginning = isLong ? letters.slice(0, Math.max(beginningCharsMin, letters.length - 2)).join('') : word
  if (closeness === 'beginnings') return [beginning]
  const isSpelt = letters.length >= spellingCharsMin && letters.length <= spellingCharsMax
  return isSpelt ? [...new Set([beginning, ...misspellings(letters)])] : [beginning]
}

/** A letter twice or once too few, or two letters the wrong way round. */
function* misspellings(letters: readonly string[]): Generator<string> {
  for (const [at, letter] of letters.entries()) {
    const before = letters.slice(0, at)
    const after = letters.slice(at + 1)
    const next = after[0]
    if (next !== letter) yield [...before, letter, letter, ...after].join('')
    if (next === undefined) continue
    if (next === letter) yield [...before, ...after].join('')
    else if (at > 0) yield [...before, next, letter, ...after.slice(1)].join('')
  }
}

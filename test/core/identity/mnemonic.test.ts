import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHex, toHex } from '../../../src/core/bytes.ts'
import { parseWords, rootKeyHash, rootKeyOf, wordsOf } from '../../../src/core/identity/mnemonic.ts'

const vectors = JSON.parse(readFileSync(new URL('../../vectors/bip39/vectors.json', import.meta.url), 'utf8')) as {
  readonly entropy: string
  readonly words: string
}[]

test('words and entropy follow the published BIP-39 vectors for 256 bits', () => {
  expect(vectors.length).toBe(8)
  for (const { entropy, words } of vectors) {
    expect(wordsOf(fromHex(entropy)!)).toBe(words)
    expect(toHex(parseWords(words))).toBe(entropy)
  }
})

test('any entropy survives being written down, in any case and spacing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (entropy) => {
      const typed = ` ${wordsOf(entropy).toUpperCase().replaceAll(' ', ' \n')}\t`
      expect(toHex(parseWords(typed))).toBe(toHex(entropy))
    }),
    { numRuns: 50 },
  )
})

test('a slip of the pen is named: count, the word that is none, or the checksum', () => {
  const words = wordsOf(new Uint8Array(32)).split(' ')
  const failure = (text: string) => {
    try {
      parseWords(text)
      return undefined
    } catch (error) {
      return error
    }
  }
  expect(failure(words.slice(1).join(' '))).toMatchObject({ code: 'invalid-mnemonic', details: { reason: 'count' } })
  expect(failure(words.with(6, 'abanden').join(' '))).toMatchObject({ details: { reason: 'word', position: 7 } })
  expect(failure(words.with(23, 'zoo').join(' '))).toMatchObject({ details: { reason: 'checksum' } })
})

test('each generation has its own root key, always the same from the same words', () => {
  const entropy = new Uint8Array(32).fill(5)
  const keys = [0, 1, 2].map((generation) => toHex(rootKeyOf(entropy, generation).publicKey))
  expect(new Set(keys).size).toBe(3)
  expect(toHex(rootKeyOf(Uint8Array.from(entropy), 1).publicKey)).toBe(keys[1])
  const frozen = [0, 1].map((generation) => toHex(rootKeyOf(new Uint8Array(32), generation).publicKey))
  expect(frozen).toEqual([
    '32acacdfe4b98ccc1ea4a6e861ff6042de8ebcf481657386d4d900bdd11b61d9',
    '5cf8c9c0cdf64bb0117e5841762cb79be3a0c0c20be3c15969330949a11162c2',
  ])
  expect(rootKeyHash(rootKeyOf(entropy, 1).publicKey)).toHaveLength(32)
})

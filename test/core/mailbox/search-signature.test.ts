import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { mayInclude, needleOf, SignatureMaker } from '../../../src/core/mailbox/search-signature.ts'

const maker = new SignatureMaker()
const sign = (text: string): Uint8Array => maker.sign(fromUtf8(text))

const anyText = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 400 }), fc.string({ unit: 'binary', maxLength: 400 }))

test('a text may include every piece of itself, wherever its signature is cut', () => {
  const cut = fc.record({ text: anyText, before: fc.nat(140_000), from: fc.nat(400), length: fc.nat(400) })
  fc.assert(
    fc.property(cut, ({ text, before, from, length }) => {
      const characters = Array.from(text.toWellFormed())
      const whole = `${'-'.repeat(before)}${characters.join('')}`
      const needle = characters.slice(from, from + length).join('')
      expect(mayInclude(sign(whole), needleOf(needle))).toBe(true)
    }),
    { numRuns: 200 },
  )
})

test('most texts are told apart without being read', () => {
  const texts = Array.from({ length: 500 }, (_, index) =>
    Array.from({ length: 300 }, (_, at) => ((index + 1) * 7919 * (at + 13) * 104_729).toString(36).slice(0, 6)).join(
      ' ',
    ),
  )
  const signatures = texts.map(sign)
  const wrong = signatures.filter((signature) => mayInclude(signature, needleOf('zymurgy')))
  expect(wrong.length).toBeLessThan(25)
})

test('a needle without three octets may be anywhere', () => {
  expect(mayInclude(sign('tea'), needleOf('xy'))).toBe(true)
  expect(mayInclude(sign(''), needleOf('tea'))).toBe(false)
  // One Chinese character has three.
  expect(mayInclude(sign('茶'), needleOf('水'))).toBe(false)
})

test('a text of many megabytes has a signature of bounded length', () => {
  const text = Buffer.alloc(9 * 1024 * 1024, 'long texts repeat themselves; ')
  text.write('needle', 8 * 1024 * 1024)
  const signature = maker.sign(text)
  expect(signature.length).toBeLessThan(120 * 1024)
  expect(mayInclude(signature, needleOf('needle'))).toBe(true)
  expect(mayInclude(signature, needleOf('zymurgy'))).toBe(false)
})

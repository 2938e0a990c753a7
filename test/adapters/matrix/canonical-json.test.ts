/** JSON as it is signed. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson } from '../../../src/adapters/matrix/encryption/canonical-json.ts'

test('members come in the order of their code points, at every depth and without space', () => {
  expect(canonicalJson({ b: 2, a: [{ z: 1, y: null }], 本: true, 日: 'x"' })).toBe(
    '{"a":[{"y":null,"z":1}],"b":2,"日":"x\\"","本":true}',
  )
  // UTF-16 would put the first of these last
  expect(canonicalJson({ '\uffff': 1, '\u{10000}': 2 })).toBe('{"\uffff":1,"\u{10000}":2}')
})

test('the same value is the same text in whatever order it was written, and says the same when it is read', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const backwards = Object.fromEntries(Object.entries(value).toReversed())
      expect(canonicalJson(backwards)).toBe(canonicalJson(value))
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

/** Addresses: the tables of RFC 7622 and RFC 8265, and whatever else somebody may write. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { escapeLocal, fullOf, parseJid, unescapeLocal } from '../../../src/adapters/xmpp/jid.ts'
import { opaqueString, usernameCaseMapped } from '../../../src/adapters/xmpp/precis.ts'

// RFC 7622 §3.5, table 1; the domain of the one with the sharp s is an A-label here
test.each([
  ['juliet@example.com', 'juliet@example.com'],
  ['juliet@example.com/foo', 'juliet@example.com/foo'],
  ['juliet@example.com/foo bar', 'juliet@example.com/foo bar'],
  ['juliet@example.com/foo@bar', 'juliet@example.com/foo@bar'],
  [String.raw`foo\20bar@example.com`, String.raw`foo\20bar@example.com`],
  ['fussball@example.com', 'fussball@example.com'],
  ['fu\u00dfball@example.com', 'fu\u00dfball@example.com'],
  ['\u03c0@example.com', '\u03c0@example.com'],
  ['\u03a3@example.com/foo', '\u03c3@example.com/foo'],
  ['\u03c3@example.com/foo', '\u03c3@example.com/foo'],
  ['\u03c2@example.com/foo', '\u03c2@example.com/foo'],
  ['king@example.com/\u265a', 'king@example.com/\u265a'],
  ['example.com', 'example.com'],
  ['example.com/foobar', 'example.com/foobar'],
  ['a.example.com/b@example.net', 'a.example.com/b@example.net'],
  // beside the table: one form of what is the same
  ['Juliet@EXAMPLE.com./Balcony', 'juliet@example.com/Balcony'],
  ['\uff2a\uff55@b\u00fccher.example', 'ju@xn--bcher-kva.example'],
  ['cafe\u0301@example.com/e\u0301', 'caf\u00e9@example.com/\u00e9'],
  ['a@example.com/x\u00a0y', 'a@example.com/x y'],
])('%s is the address %s', (text, canonical) => {
  expect(fullOf(parseJid(text)!)).toBe(canonical)
})

// RFC 7622 §3.5, table 2, and more of the kind
test.each([
  ['"juliet"@example.com'],
  ['foo bar@example.com'],
  ['juliet@example.com/ foo\u0001'],
  ['@example.com/'],
  ['@example.com'],
  ['example.com/'],
  ['henry\u2163@example.com'],
  ['\u265a@example.com'],
  ['juliet@'],
  ['/foobar'],
  [''],
  ['a@b@c/d'],
  ['a&b@example.com'],
  ["o'hara@example.com"],
  ['a\u200bb@example.com'],
  ['a\ufeffb@example.com'],
  ['a\ud800@example.com'],
  ['a@example.com/\ud800'],
  ['a@example.com/\ufdd0'],
  ['a@example.com/\u202e'],
  ['\u1100@example.com'],
  ['a\u0640@example.com'],
  // RFC 5893: beginning in one direction and going on in the other, and digits at the beginning
  ['a\u05d0@example.com'],
  ['\u05d0a@example.com'],
  ['1\u05d0@example.com'],
  ['\u05d0-@example.com'],
  ['\u06f1\u0661@example.com'],
  [`${'a'.repeat(1024)}@example.com`],
  [`a@example.com/${'\u00e9'.repeat(512)}`],
])('%j is no address', (text) => {
  expect(parseJid(text)).toBeUndefined()
})

// RFC 8265 §3.5 and §4.3
test.each([
  ['juliet@example.com', 'juliet@example.com'],
  ['fussball', 'fussball'],
  ['fu\u00dfball', 'fu\u00dfball'],
  ['\u03c0', '\u03c0'],
  ['\u03a3', '\u03c3'],
  ['\u03c3', '\u03c3'],
  ['\u03c2', '\u03c2'],
  ['foo bar', undefined],
  ['', undefined],
  ['henry\u2163', undefined],
  ['\u221e', undefined],
  // rules of what may stand where
  ['l\u00b7l', 'l\u00b7l'],
  ['a\u00b7l', undefined],
  ['\u0375\u03b1', '\u0375\u03b1'],
  ['\u0375a', undefined],
  ['\u05d0\u05f3', '\u05d0\u05f3'],
  ['a\u05f3', undefined],
  ['\u30a2\u30fb', '\u30a2\u30fb'],
  ['a\u30fb', undefined],
  ['\u0915\u094d\u200d', '\u0915\u094d\u200d'],
  ['a\u200d', undefined],
  ['\u05d0\u05d1\u05b0', '\u05d0\u05d1\u05b0'],
  ['\u05d01', '\u05d01'],
])('the name %j is %j', (text, prepared) => {
  expect(usernameCaseMapped(text)).toBe(prepared)
})

test.each([
  ['correct horse battery staple', 'correct horse battery staple'],
  ['Correct Horse Battery Staple', 'Correct Horse Battery Staple'],
  ['\u03c0\u00df\u00e5', '\u03c0\u00df\u00e5'],
  ['Jack of \u2666s', 'Jack of \u2666s'],
  ['foo\u1680bar', 'foo bar'],
  ['', undefined],
  ['my cat is a \u0009by', undefined],
])('the text %j is %j', (text, prepared) => {
  expect(opaqueString(text)).toBe(prepared)
})

const anything = fc.string({ unit: 'binary', maxLength: 40 })

test('what is an address stays the same address, however often it is read', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        anything,
        fc.tuple(anything, anything).map(([local, resource]) => `${local}@example.org/${resource}`),
      ),
      (text) => {
        const jid = parseJid(text)
        if (jid === undefined) return
        expect(parseJid(fullOf(jid))).toEqual(jid)
        expect(fullOf(jid)).not.toMatch(/[\u0000-\u001f\u007f]/)
      },
    ),
    { numRuns: 2000 },
  )
})

test('XEP-0106: any name fits a local part and comes back', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      const escaped = escapeLocal(text)
      expect(unescapeLocal(escaped)).toBe(text)
      expect(escaped).not.toMatch(/[ "&'/:<>@]/)
    }),
  )
})

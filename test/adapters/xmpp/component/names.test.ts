/** Names of people at another server: each leads back to whom it stands for. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inward, outward } from '../../../../src/adapters/xmpp/component/names.ts'
import { bareOf, escapeLocal, fullOf, type Jid, parseJid } from '../../../../src/adapters/xmpp/jid.ts'

const domain = 'myc.example.org'

test('an address becomes a local part as XEP-0106 says, and back', () => {
  const bob = parseJid('bob@other.org')!
  expect(fullOf(outward(bob, domain))).toBe(`bob\\40other.org@${domain}`)
  expect(inward(outward(bob, domain))).toEqual(bob)
  expect(inward(parseJid(domain)!)).toBeUndefined()
  expect(inward(parseJid(`nobody@${domain}`)!)).toBeUndefined()
})

test('whatever an address and a resource are made of, they lead back, in what a server makes of them too', () => {
  const local = fc
    .string({
      unit: fc.constantFrom(
        'a',
        'é',
        '0',
        '.',
        '\\40',
        '\\2f',
        '\\5c',
        '\\',
        ' ',
        '"',
        '&',
        "'",
        '/',
        ':',
        '<',
        '>',
        '@',
      ),
    })
    .filter((text) => text.trim() !== '')
    .map((text) => escapeLocal(text.toLowerCase()))
  const resource = fc.constantFrom('', 'mycelium', 'Xq3-_abcdefg')
  fc.assert(
    fc.property(local, resource, (name, given) => {
      const jid: Jid = { local: name, domain: 'other.org', resource: given }
      if (parseJid(fullOf(jid)) === undefined) return
      const there = parseJid(fullOf(outward(jid, domain)))
      expect(there).toBeDefined()
      expect(inward(there!)).toEqual(parseJid(fullOf(jid)))
    }),
  )
})

test('no text is taken for somebody whom it does not name', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const jid = parseJid(`${escapeLocal(text)}@${domain}`)
      const found = jid === undefined ? undefined : inward(jid)
      if (found !== undefined) expect(bareOf(outward(found, domain)).toLowerCase()).toBe(bareOf(jid!))
    }),
  )
})

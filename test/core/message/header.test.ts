import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromLatin1, fromUtf8 } from '../../../src/core/bytes.ts'
import { limits } from '../../../src/core/limits.ts'
import { parseAddressEntries, parseHeaders, parseMailboxList } from '../../../src/core/message/header.ts'

describe('header sections', () => {
  test('fields keep their bytes, values are unfolded', () => {
    const bytes = fromUtf8('From: a@b\r\nSubject : long\r\n\tcafé\r\n\r\nbody')
    const { fields, bodyStart } = parseHeaders(bytes)
    expect(fields.map(({ name, value }) => [name, value])).toEqual([
      ['from', 'a@b'],
      ['subject', 'long\tcafé'],
    ])
    expect(Buffer.from(bytes.subarray(fields[1]!.start, fields[1]!.end)).toString()).toBe(
      'Subject : long\r\n\tcafé\r\n',
    )
    expect(Buffer.from(bytes.subarray(bodyStart)).toString()).toBe('body')
  })

  test('a line that is no field is skipped, the ones after it still count', () => {
    const { fields } = parseHeaders(fromLatin1('From alice Mon\nA: 1\nno colon here\n: empty name\nFrom: x@y\n\n'))
    expect(fields.map(({ name }) => name)).toEqual(['a', 'from'])
  })

  test('octets that are not UTF-8 show as Latin-1', () => {
    expect(parseHeaders(fromLatin1('S: caf\xe9\n\n')).fields[0]!.value).toBe('café')
  })

  test('too many fields are skipped, and said to be', () => {
    const headers = parseHeaders(fromLatin1(`${'a: b\n'.repeat(limits.headerFieldsMax + 5)}\nbody`))
    expect(headers.fields).toHaveLength(limits.headerFieldsMax)
    expect(headers.truncated).toBe(true)
    expect(headers.bodyStart).toBe(5 * (limits.headerFieldsMax + 5) + 1)
  })

  test('any bytes: fields lie in order inside the section', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const { fields, bodyStart } = parseHeaders(bytes)
        let last = 0
        for (const { start, end } of fields) {
          expect(start).toBeGreaterThanOrEqual(last)
          expect(end).toBeGreaterThan(start)
          last = end
        }
        expect(bodyStart).toBeGreaterThanOrEqual(last)
        expect(bodyStart).toBeLessThanOrEqual(bytes.length)
      }),
    )
  })
})

describe('address lists', () => {
  test.each([
    ['a@b', [{ address: 'a@b' }]],
    [
      'Alice <a@b>, "Bob, Jr." <b@c>',
      [
        { name: 'Alice', address: 'a@b' },
        { name: 'Bob, Jr.', address: 'b@c' },
      ],
    ],
    ['a@b (Alice)', [{ name: 'Alice', address: 'a@b' }]],
    ['Team: a@b, C <c@d>;', [{ address: 'a@b' }, { name: 'C', address: 'c@d' }]],
    ['undisclosed-recipients:;', []],
    ['<@x,@y:a@b>', [{ address: 'a@b' }]],
    ['a . b @ c . d', [{ address: 'a.b@c.d' }]],
    ['"quoted local"@b', [{ address: 'quoted local@b' }]],
    ['a@b, , c@d,', [{ address: 'a@b' }, { address: 'c@d' }]],
    ['<a@b> <c@d>', [{ address: 'a@b' }, { address: 'c@d' }]],
    ['Evil <a@b', [{ name: 'Evil', address: 'a@b' }]],
    ['no address', [{ address: 'no address' }]],
    ['=?utf-8?q?=22a=40b=22?= <c@d>', [{ name: '=?utf-8?q?=22a=40b=22?=', address: 'c@d' }]],
    ['', []],
  ])('%s', (value, mailboxes) => {
    expect(parseMailboxList(value)).toEqual(mailboxes)
  })

  test('groups are kept for those who show them', () => {
    expect(parseAddressEntries('A B: x@y; z@w').map(({ kind }) => kind)).toEqual([
      'group-start',
      'mailbox',
      'group-end',
      'mailbox',
    ])
  })

  test('no text makes it throw', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseMailboxList(text)))
  })
})

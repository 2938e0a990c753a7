/** RFC 3676: lines that flow are one paragraph, quotations and signatures stay what they are. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { unflowed } from '../../../src/core/message/flowed.ts'

test('lines that end in a space go on, at the same depth of quotation', () => {
  expect(unflowed('one \r\ntwo\r\nthree', false)).toBe('one two\nthree')
  expect(unflowed('long\u0020\nword', true)).toBe('longword')
  expect(unflowed('>> quoted \n>> more\n> less \nnone', false)).toBe('>> quoted more\n> less \nnone')
  expect(unflowed(' From there\n >no quotation', false)).toBe('From there\n>no quotation')
  expect(unflowed('words \n-- \nname \nrest', false)).toBe('words \n-- \nname rest')
})

test('what flows as the specification says is given back', () => {
  const word = fc.stringMatching(/^[a-z>-]{1,10}$/).filter((one) => one !== '--')
  fc.assert(
    fc.property(fc.array(fc.array(word, { minLength: 1, maxLength: 20 }), { minLength: 1 }), (paragraphs) => {
      const stuffed = (line: string) => (/^[> ]|^From /.test(line) ? ` ${line}` : line)
      const written = paragraphs.map((words) =>
        words.map((one, index) => stuffed(index < words.length - 1 ? `${one} ` : one)).join('\r\n'),
      )
      expect(unflowed(written.join('\r\n'), false)).toBe(paragraphs.map((words) => words.join(' ')).join('\n'))
    }),
  )
})

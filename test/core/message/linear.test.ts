/** What is made to cost a parser much costs it in proportion to its length: twice as long, twice as many steps. */
import { afterAll, expect, test } from 'vitest'
import { fromLatin1 } from '../../../src/core/bytes.ts'
import { countSteps } from '../../support/steps.ts'

const steps = countSteps()
afterAll(() => steps[Symbol.dispose]())
const { parseMailboxList } = await import('../../../src/core/message/header.ts')
const { parseMime } = await import('../../../src/core/message/mime.ts')
const { decodeWords } = await import('../../../src/core/message/mime-words.ts')

/** Quadratic work would be four times as much. */
function expectLinear(run: (repeats: number) => void): void {
  const [once, twice] = [5000, 10_000].map((repeats) => steps.of(() => run(repeats)))
  expect(once).toBeGreaterThan(2500)
  expect(twice).toBeLessThan(once! * 2.5)
}

test.each(['(', '<', '"', ',', 'a@b,', ':;', '\\', '[', '(a)'])('a mailbox list of nothing but %s', (bomb) => {
  expectLinear((repeats) => void parseMailboxList(bomb.repeat(repeats)))
})

const mixed = 'Content-Type: multipart/mixed; boundary=b\n\n'
test.each<[string, string, string]>([
  ['nested messages', '', 'Content-Type: message/rfc822\n\n'],
  ['what looks like delimiters', mixed, '--b'],
  ['delimiters', mixed, '--b\n'],
  ['parameters', 'Content-Type: text/plain; ', 'a=b;'],
  ['parts of a parameter', 'Content-Type: text/plain; ', 'a*0*=b;'],
  ['quotes', 'Content-Type: ', '"'],
  ['fields', '', 'X: y\n'],
  ['folds', '', ' \n'],
  ['encoded words', 'Subject: ', '=?'],
])('a mail of nothing but %s', (_, before, bomb) => {
  expectLinear((repeats) => {
    const text = `${before}${bomb.repeat(repeats)}\n\n`
    parseMime(fromLatin1(text))
    decodeWords(text)
  })
})

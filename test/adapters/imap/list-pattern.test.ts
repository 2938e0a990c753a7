/** Patterns of LIST: what they match, and that a hard one costs no more than its length times that of the name. */
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { countSteps } from '../../support/steps.ts'

const steps = countSteps()
afterAll(() => steps[Symbol.dispose]())
const { matchesPattern } = await import('../../../src/adapters/imap/list-pattern.ts')

test.each([
  ['*', 'a/b', true],
  ['%', 'a/b', false],
  ['%/%', 'a/b', true],
  ['a%', 'abc', true],
  ['*c', 'a/b/c', true],
  ['', '', true],
  ['a', 'A', false],
  ['%%', 'a/', false],
])('%s %s %s', (pattern, name, expected) => {
  expect(matchesPattern(pattern, name)).toBe(expected)
})

test('patterns agree with a regular expression', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 })
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '%'), maxLength: 6 })
  fc.assert(
    fc.property(pattern, text, (pattern, name) => {
      const model = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('%', '[^/]*')}$`, 's')
      expect(matchesPattern(pattern, name)).toBe(model.test(name))
    }),
  )
})

test('a pattern or a name of twice the length takes twice as many steps, however many ways there are to match', () => {
  const stepsOf = (wildcards: number, levels: number): number =>
    steps.of(() => void matchesPattern('*a%'.repeat(wildcards), 'a/'.repeat(levels)))
  const once = stepsOf(100, 250)
  expect(once).toBeGreaterThan(100 * 250)
  expect(stepsOf(200, 250)).toBeLessThan(once * 2.5)
  expect(stepsOf(100, 500)).toBeLessThan(once * 2.5)
})

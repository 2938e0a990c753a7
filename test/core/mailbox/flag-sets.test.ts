import { afterEach, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { FlagSetEditor, noFlagSets } from '../../../src/core/mailbox/flag-sets.ts'

const adjustable = limits as Record<keyof typeof limits, number>
const { mailboxFlagSetsMax } = limits
afterEach(() => {
  adjustable.mailboxFlagSetsMax = mailboxFlagSetsMax
})

test('when there are too many combinations, those that this transaction is about to use are not among the forgotten', () => {
  adjustable.mailboxFlagSetsMax = 4
  const before = new FlagSetEditor(noFlagSets)
  for (const keyword of ['a', 'b', 'c']) before.idOf([keyword], () => new Set())
  const editor = new FlagSetEditor(before.value)
  const known = editor.idOf(['a'], () => new Set())
  const fresh = editor.idOf(['d'], () => new Set())
  const another = editor.idOf(['e'], () => new Set())
  expect([known, fresh, another].map((id) => editor.flagsOf(id))).toEqual([['a'], ['d'], ['e']])
  expect(() => editor.idOf(['f'], () => new Set())).toThrow('too-large')
})

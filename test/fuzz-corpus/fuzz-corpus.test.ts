/** Inputs that once found a fault (`npm run bench -- fuzz` found or would have found them) find none any more. */
import { expect, test } from 'vitest'
import { readMail } from '../../bench/support/fuzz/mime-target.ts'
import { keptInputs } from '../../bench/support/fuzz/seeds.ts'

test('mail that was once read wrongly is read rightly', () => {
  const mails = keptInputs('mime')
  expect(mails.length).toBeGreaterThan(0)
  for (const mail of mails) expect(() => readMail(Buffer.from(mail, 'latin1'))).not.toThrow()
})

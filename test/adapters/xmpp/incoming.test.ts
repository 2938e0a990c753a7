import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Incoming } from '../../../src/adapters/xmpp/resumption/incoming.ts'

test('in whatever order stanzas get into transactions and are done with, neither count goes past one that is not', () => {
  const order = fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7, 8], { minLength: 0 })
  fc.assert(
    fc.property(order, order, fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }), (noted, done, turns) => {
      const incoming = new Incoming(40)
      for (let at = 0; at < 8; at += 1) incoming.begin()
      const [isNoted, isDone] = [new Set<number>(), new Set<number>()]
      const firstWithout = (is: (number: number) => boolean): number => {
        let number = 40
        while (number < 48 && is(number + 1)) number += 1
        return number
      }
      const waiting = { noted: [...noted], done: [...done] }
      for (const isNote of turns) {
        const ticket = (isNote ? waiting.noted : waiting.done).shift()
        if (ticket === undefined) continue
        if (isNote && isDone.has(ticket + 40)) continue
        const before = incoming.handled
        if (isNote) {
          isNoted.add(ticket + 40)
          expect(incoming.noted(ticket + 40)).toBe(firstWithout((one) => isNoted.has(one) || isDone.has(one)))
          expect(incoming.handled).toBe(before)
        } else {
          isDone.add(ticket + 40)
          incoming.done(ticket + 40)
        }
        expect(incoming.handled).toBe(firstWithout((one) => isDone.has(one)))
      }
    }),
  )
})

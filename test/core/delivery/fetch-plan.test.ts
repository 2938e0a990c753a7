import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FetchPlan } from '../../../src/core/delivery/fetch-plan.ts'

test('whatever fails in whatever order, no chunk is lost, none is asked for twice at once, and nobody who failed is asked again', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(40), { maxLength: 20 }),
      fc.integer({ min: 0, max: 4 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.record({ lane: fc.nat(4), succeeds: fc.boolean() }), { maxLength: 80 }),
      (unordered, sources, lanes, events) => {
        const missing = unordered.toSorted((a, b) => a - b)
        const plan = new FetchPlan(missing, sources)
        const asked = new Map<number, { readonly index: number; readonly source: number }>()
        const here = new Set<number>()
        const failed = new Set<number>()
        const fill = (): void => {
          for (let lane = 0; lane < lanes; lane += 1) {
            if (asked.has(lane)) continue
            const step = plan.next()
            if (step === undefined) continue
            expect([...asked.values()].map(({ index }) => index)).not.toContain(step.index)
            expect(here.has(step.index)).toBe(false)
            expect(failed.has(step.source)).toBe(false)
            expect(step.source).toBe(
              Math.min(...Array.from({ length: sources }, (_, at) => at).filter((at) => !failed.has(at))),
            )
            asked.set(lane, step)
          }
        }
        for (const { lane, succeeds } of [
          ...events,
          ...missing.flatMap(() => [0, 1, 2, 3, 4].map((at) => ({ lane: at, succeeds: true }))),
        ]) {
          fill()
          const step = asked.get(lane)
          if (step === undefined) continue
          asked.delete(lane)
          if (succeeds) {
            plan.arrived(step)
            here.add(step.index)
          } else {
            plan.failed(step)
            failed.add(step.source)
          }
        }
        expect(plan.next()).toBe(undefined)
        expect(plan.isDone).toBe(here.size === missing.length)
        if (failed.size < sources) expect(plan.isDone).toBe(true)
      },
    ),
  )
})

test('a chunk that failed is the next one to be asked for', () => {
  const plan = new FetchPlan([1, 2, 5], 2)
  const [one, two] = [plan.next()!, plan.next()!]
  plan.arrived(two)
  plan.failed(one)
  expect(plan.next()).toEqual({ index: 1, source: 1 })
  expect(plan.next()).toEqual({ index: 5, source: 1 })
})

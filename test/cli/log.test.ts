import { expect, test } from 'vitest'
import { createLog } from '../../src/log.ts'

const clock = { nowMs: () => Date.UTC(2026, 10, 20), monotonicMs: () => 0 }

test('one JSON object a line, from the chosen level up, with the fields of the child', () => {
  const lines: string[] = []
  const log = createLog('info', { clock, write: (line) => lines.push(line) }).child({ connection: 'c1' })
  log.debug('hidden')
  log.info('smtp.accepted', { bytes: 12, ok: true, absent: undefined })
  log.child({ more: 1 }).error('line\nbreak')
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { at: '2026-11-20T00:00:00.000Z', level: 'info', event: 'smtp.accepted', connection: 'c1', bytes: 12, ok: true },
    { at: '2026-11-20T00:00:00.000Z', level: 'error', event: 'line\nbreak', connection: 'c1', more: 1 },
  ])
  expect(lines.every((line) => line.indexOf('\n') === line.length - 1)).toBe(true)
})

test('a field that looks like an address is withheld, a long one is cut', () => {
  const lines: string[] = []
  const log = createLog('debug', { clock, write: (line) => lines.push(line) })
  log.warn('x', { who: 'alice@example.org', long: 'y'.repeat(10_000) })
  expect(lines[0]).not.toContain('example.org')
  expect(lines[0]!.length).toBeLessThan(500)
})

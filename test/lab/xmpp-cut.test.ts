/** Chat programs whose network drops packets, for real: the systems' own resends are part of it. */
import { beforeEach, expect, test } from 'vitest'
import { runXmppCuts } from '../support/net-lab/xmpp-cut-cell.ts'
import { requireNamespaces } from './requirements.ts'

beforeEach((context) => requireNamespaces(context))

test('every message is shown once and in order by programs on other machines, though packets are dropped one way, both ways, and between the gateways', async () => {
  const { views, resumed, refused, faults } = await runXmppCuts(600, 4, 1)
  for (const { name, ...counts } of views) expect(counts, name).toEqual({ lost: 0, doubled: 0, disordered: 0 })
  expect(resumed).toBeGreaterThan(0)
  expect(refused).toBe(0)
  expect(faults).toEqual([])
}, 300_000)

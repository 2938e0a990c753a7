import { expect, test } from 'vitest'
import type { GatewayId } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import { Near } from '../../src/overlay/near.ts'

const clockAt = (now: { ms: number }) => ({ nowMs: () => 0, monotonicMs: () => now.ms })
const gateway = (index: number): GatewayId => `gateway-${index}` as GatewayId

test('what was announced last counts, for a while', () => {
  const now = { ms: 0 }
  const near = new Near(clockAt(now))
  near.saw(gateway(1), ['old'])
  near.saw(gateway(1), ['new'])
  expect(near.at(gateway(1))).toEqual(['new'])
  expect(near.at(gateway(2))).toEqual([])
  now.ms = limits.nearMs + 1
  expect(near.at(gateway(1))).toEqual([])
})

test('few addresses of few gateways are kept, and none of another network', () => {
  const near = new Near(clockAt({ ms: 0 }))
  for (let index = 0; index <= limits.mdnsPeersMax; index += 1) near.saw(gateway(index), ['a', 'b', 'c', 'd', 'e'])
  expect(near.at(gateway(0))).toEqual([])
  expect(near.at(gateway(1))).toHaveLength(limits.nearLocatorsMax)
  near.forgetAll()
  expect(near.at(gateway(1))).toEqual([])
})

import { expect, test } from 'vitest'
import type { CourierStatus } from '../../src/core/delivery/courier.ts'
import type { PeerStatus } from '../../src/core/delivery/ports.ts'
import type { GatewayId } from '../../src/core/ids.ts'
import { gatewayNames, troubleOf, viewReach } from '../../src/operations/reach.ts'

const gateway = '12D3KooWabcdefgh' as GatewayId
const relay = '12D3KooWrelayrel' as GatewayId
const peer = (fields: Partial<PeerStatus>): PeerStatus => ({
  gateway,
  state: 'disconnected',
  how: undefined,
  hops: undefined,
  via: [],
  transport: undefined,
  remote: undefined,
  sinceMs: 1000,
  rttMs: undefined,
  lastError: undefined,
  ...fields,
})
const courier = (fields: Partial<CourierStatus>): CourierStatus => ({
  state: 'idle',
  attempts: 0,
  nextAttemptAtMs: undefined,
  lastError: undefined,
  ...fields,
})
const nameOf = gatewayNames([])

test('a contact who is connected is shown with the path, and who carries it', () => {
  const direct = peer({ state: 'connected', how: 'direct', hops: 0, transport: 'tcp+tls', rttMs: 0.4 })
  expect(viewReach(courier({ state: 'connected' }), [direct], nameOf)).toEqual({
    state: 'connected',
    how: 'direct',
    hops: 0,
    via: [],
    transport: 'tcp+tls',
    rttMs: 0.4,
    sinceMs: 1000,
  })
  const relayed = peer({ state: 'connected', how: 'relayed', hops: 1, via: [relay] })
  expect(viewReach(courier({ state: 'connected' }), [relayed], nameOf).via).toEqual(['relayrel'])
  expect(viewReach(courier({ state: 'connected' }), [relayed, direct], nameOf).how).toBe('direct')
})

test('a contact who is out of reach is shown with the reason, what to do and the next attempt', () => {
  const status = courier({ state: 'waiting', attempts: 3, nextAttemptAtMs: 9000, lastError: 'unreachable' })
  const reach = viewReach(status, [peer({ lastError: 'no usable locator' })], nameOf)
  expect(reach).toMatchObject({ state: 'waiting', attempts: 3, nextAttemptMs: 9000 })
  expect(reach.problem).toContain('addresses')
  expect(reach.remedy).toContain('overlay.announce')
  const unmet = viewReach(status, [], nameOf)
  expect(unmet.problem).toBe(troubleOf('unreachable', undefined).problem)
  expect(viewReach(undefined, [], nameOf)).toEqual({ state: 'idle', via: [], sinceMs: undefined })
})

test('every failure has words and something to do, also one that is not known', () => {
  for (const code of ['unreachable', 'timeout', 'peer-misbehaved', 'handshake-refused', 'unexpected', 'disk-full'])
    for (const reason of [undefined, 'refused', 'busy', 'something new']) {
      const { problem, remedy } = troubleOf(code, reason)
      expect(problem.length).toBeGreaterThan(10)
      expect(remedy.length).toBeGreaterThan(10)
    }
  expect(troubleOf('peer-misbehaved', 'refused').remedy).toContain('new invitation')
  expect(troubleOf('timeout', 'refused').problem).toContain('in time')
})

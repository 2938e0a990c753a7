/** One-time keys in a store that runs a transaction again, as a store may. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { claim, counts, upload } from '../../../src/adapters/matrix/encryption/device-keys.ts'
import { Kept } from '../../../src/adapters/matrix/kept.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { openMemoryStore } from '../../support/memory-store.ts'

const of = { account: 'aa'.repeat(32) as Identity, device: 'D' }
const owner = { ...of, user: '@a:x' }

test('no one-time key is given twice, and first come is first given, however uploads and claims mix and repeat', async () => {
  const step = fc.oneof(
    fc.record({ does: fc.constant('upload' as const), names: fc.uniqueArray(fc.nat(20), { maxLength: 5 }) }),
    fc.record({ does: fc.constant('claim' as const), many: fc.nat(4) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), fc.boolean(), async (steps, rerun) => {
      await using store = openMemoryStore({ rerun })
      const kept = new Kept()
      const uploaded: string[] = []
      const given: string[] = []
      for (const one of steps)
        if (one.does === 'upload') {
          const keys = Object.fromEntries(one.names.map((name) => [`signed_curve25519:k${name}`, { key: `${name}` }]))
          await store.write((tx) => upload(kept, tx, owner, { one_time_keys: keys }))
          uploaded.push(...Object.keys(keys).filter((name) => !uploaded.includes(name)))
        } else {
          const claims = Array.from({ length: one.many }, () =>
            store.write((tx) => claim(kept, tx, of, 'signed_curve25519')),
          )
          given.push(...(await Promise.all(claims)).flatMap((found) => Object.keys(found ?? {})))
        }
      expect(given).toEqual(uploaded.slice(0, given.length))
      const left = store.read((tx) => counts(kept, tx, of))
      expect(left).toEqual({ signed_curve25519: uploaded.length - given.length })
    }),
  )
})

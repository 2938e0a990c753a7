import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { decode, encode } from '../../../src/core/codec.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import { activeDevices, isActive, nextEntry, verifyLog } from '../../../src/core/identity/account-log.ts'
import { makeDevice, noGrants } from '../../../src/core/identity/device.ts'
import { entriesCodec, identityOf, readEntry } from '../../../src/core/identity/log-entry.ts'
import { mergeLogs, provesFork } from '../../../src/core/identity/log-merge.ts'
import { rootKeyOf } from '../../../src/core/identity/mnemonic.ts'
import { limits } from '../../../src/core/limits.ts'
import { adding, byDevice, byRoot, makePerson, makeZone, naming, nowMs, type Person, rotating } from './people.ts'

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof MyceliumError) return error.code
    throw error
  }
}
const reasonOf = (run: () => unknown): unknown => {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as MyceliumError).details['reason']
  }
}

describe('a log', () => {
  test('is named by its first entry and gives devices, addresses and zones', () => {
    const phone = makeDevice(systemRandom)
    const zone = makeZone()
    let alice = makePerson()
    alice = byDevice(alice, alice.device, naming('alice@example.org'))
    alice = byDevice(alice, alice.device, { kind: 'name-zone', zone: zone.publicKey, present: true })
    alice = byDevice(alice, alice.device, adding(alice, phone, noGrants))
    const state = verifyLog(alice.log)
    expect(state.identity).toBe(identityOf(alice.log[0]!))
    expect(state.addresses).toEqual(['alice@example.org'])
    expect(state.zones).toEqual([toHex(zone.publicKey)])
    expect(activeDevices(state).map(({ id }) => id)).toEqual([alice.device.id, phone.id])
    expect(state.devices.get(phone.id)).toMatchObject({ grants: noGrants, addedAt: 3, revokedAt: undefined })
    expect(state.length).toBe(4)
  })

  test('forgets an address and revokes a device, and says nothing twice', () => {
    const phone = makeDevice(systemRandom)
    let alice = makePerson()
    alice = byDevice(alice, alice.device, naming('alice@example.org'))
    expect(reasonOf(() => byDevice(alice, alice.device, naming('alice@example.org')))).toBe('nothing-new')
    alice = byDevice(alice, alice.device, naming('alice@example.org', false))
    alice = byDevice(alice, alice.device, adding(alice, phone))
    alice = byDevice(alice, alice.device, { kind: 'revoke-device', device: phone.id })
    expect(alice.state.addresses).toEqual([])
    expect(isActive(alice.state, phone.id)).toBe(false)
    expect(alice.state.devices.get(phone.id)?.revokedAt).toBe(4)
    expect(reasonOf(() => byDevice(alice, phone, naming('x@y.org')))).toBe('unknown-signer')
    expect(reasonOf(() => byDevice(alice, alice.device, adding(alice, phone)))).toBe('device-known')
  })

  test('a device without grants may only revoke itself', () => {
    const phone = makeDevice(systemRandom)
    let alice = makePerson()
    alice = byDevice(alice, alice.device, adding(alice, phone, noGrants))
    const refused = [naming('a@b.org'), adding(alice, makeDevice(systemRandom), noGrants), rotating(alice)]
    for (const content of refused) expect(codeOf(() => byDevice(alice, phone, content))).toMatch(/malformed|signature/)
    expect(isActive(byDevice(alice, phone, { kind: 'revoke-device', device: phone.id }).state, phone.id)).toBe(false)
  })

  test('a device gives no more than it has, and revokes only devices added after it', () => {
    const [laptop, phone] = [makeDevice(systemRandom), makeDevice(systemRandom)]
    let alice = makePerson()
    alice = byDevice(alice, alice.device, adding(alice, laptop, { link: true, name: false }))
    expect(reasonOf(() => byDevice(alice, laptop, adding(alice, phone)))).toBe('not-permitted')
    expect(reasonOf(() => byDevice(alice, laptop, { kind: 'revoke-device', device: alice.device.id }))).toBe(
      'not-permitted',
    )
    alice = byDevice(alice, laptop, adding(alice, phone, noGrants))
    alice = byDevice(alice, alice.device, { kind: 'revoke-device', device: laptop.id })
    expect(activeDevices(alice.state)).toHaveLength(2)
  })

  test('a device is not added without its own agreement', () => {
    const [alice, mallory] = [makePerson(), makePerson()]
    const stolen = adding(mallory, alice.device)
    expect(codeOf(() => byDevice(mallory, mallory.device, stolen))).toBeUndefined()
    const forged = adding(alice, makeDevice(systemRandom)) // agreed to alice's account
    expect(codeOf(() => byDevice(mallory, mallory.device, forged))).toBe('signature-invalid')
  })

  test('only the committed next root key rotates the root', () => {
    const alice = makePerson()
    const wrong = { ...rotating(alice), rootKey: rootKeyOf(alice.entropy, 2).publicKey } as ReturnType<typeof rotating>
    expect(codeOf(() => byRoot(alice, wrong))).toBe('signature-invalid')
    const other = nextEntry(alice.state, { kind: 'root' }, rootKeyOf(alice.entropy, 2), wrong, nowMs)
    expect(reasonOf(() => verifyLog([...alice.log, other]))).toBe('root-key')
    const rotated = byRoot(byRoot(alice, rotating(alice)), naming('alice@example.org'))
    expect(rotated.state.generation).toBe(1)
    const again = byRoot(rotated, rotating(rotated))
    expect(again.state.generation).toBe(2)
    // the old root key signs nothing any more
    const late = nextEntry(again.state, { kind: 'root' }, rootKeyOf(alice.entropy, 0), naming('m@x.org'), nowMs)
    expect(codeOf(() => verifyLog([...again.log, late]))).toBe('signature-invalid')
  })

  test('bounds its entries and devices', () => {
    let alice = makePerson()
    for (let i = alice.state.length; i < limits.logEntriesMax; i += 1) {
      alice = byDevice(alice, alice.device, naming('a@b.org', i % 2 === 1))
    }
    expect(verifyLog(alice.log).length).toBe(limits.logEntriesMax)
    const over = byDevice(alice, alice.device, naming('c@d.org'))
    expect(codeOf(() => verifyLog(over.log))).toBe('too-large')
    expect(codeOf(() => encode(entriesCodec, over.log))).toBe('too-large')
  })

  test('any changed byte, swap, gap or repetition is refused', () => {
    let alice = makePerson()
    alice = byDevice(alice, alice.device, naming('alice@example.org'))
    alice = byDevice(alice, alice.device, adding(alice, makeDevice(systemRandom)))
    const bytes = encode(entriesCodec, alice.log)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bad = Uint8Array.from(bytes)
        bad[at]! ^= flip
        const verdict = codeOf(() => {
          const state = verifyLog(decode(entriesCodec, bad))
          if (state.identity === alice.state.identity) return
          throw new MyceliumError('malformed')
        })
        expect(['malformed', 'signature-invalid', 'too-large']).toContain(verdict)
      }),
      { numRuns: 300 },
    )
    const [a, b, c] = alice.log
    for (const log of [[b!, a!, c!], [a!, c!], [a!, b!, b!, c!], [a!, a!], [b!], []]) {
      expect(codeOf(() => verifyLog(log))).toBe('malformed')
    }
  })

  test('garbage never decodes to entries without a named error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (garbage) => {
        const verdict = codeOf(() => verifyLog(decode(entriesCodec, garbage)))
        expect(['malformed', 'too-large', 'signature-invalid']).toContain(verdict)
      }),
      { numRuns: 500 },
    )
  })
})

describe('two logs of one identity', () => {
  const grown = (): { base: Person; laptop: ReturnType<typeof makeDevice> } => {
    const laptop = makeDevice(systemRandom)
    const alice = makePerson()
    return { base: byDevice(alice, alice.device, adding(alice, laptop)), laptop }
  }

  test('the longer one of two that agree is taken, the shorter one ignored', () => {
    const { base } = grown()
    const more = byDevice(base, base.device, naming('a@b.org'))
    expect(mergeLogs(base.log, more.log)).toMatchObject({ outcome: 'extended', fork: undefined })
    expect(mergeLogs(more.log, base.log)).toMatchObject({ outcome: 'behind', entries: more.log })
    expect(mergeLogs(more.log, more.log).outcome).toBe('same')
    expect(codeOf(() => mergeLogs(base.log, makePerson().log))).toBe('malformed')
  })

  test('the device with the older grant wins over the younger one, however long its branch is', () => {
    const { base, laptop } = grown()
    const older = byDevice(base, base.device, naming('old@b.org'))
    const younger = byDevice(byDevice(base, laptop, naming('new@b.org')), laptop, naming('newer@b.org'))
    expect(mergeLogs(younger.log, older.log)).toMatchObject({ outcome: 'replaced', fork: undefined })
    expect(mergeLogs(older.log, younger.log)).toMatchObject({ outcome: 'kept', fork: undefined })
  })

  test('the root wins over any device, a higher generation over the root', () => {
    const { base } = grown()
    const device = byDevice(base, base.device, naming('thief@b.org'))
    const root = byRoot(base, { kind: 'revoke-device', device: base.device.id })
    const rotated = byRoot(base, rotating(base))
    expect(mergeLogs(device.log, root.log).outcome).toBe('replaced')
    expect(mergeLogs(root.log, device.log).outcome).toBe('kept')
    expect(mergeLogs(root.log, rotated.log).outcome).toBe('replaced')
    expect(mergeLogs(rotated.log, root.log).outcome).toBe('kept')
  })

  test('a device that the root revoked cannot rewrite the log behind the revocation', () => {
    const { base, laptop } = grown()
    const honest = byRoot(byDevice(base, laptop, naming('real@b.org')), {
      kind: 'revoke-device',
      device: base.device.id,
    })
    const rewritten = byDevice(byDevice(base, base.device, naming('false@b.org')), base.device, {
      kind: 'revoke-device',
      device: laptop.id,
    })
    expect(mergeLogs(honest.log, rewritten.log).outcome).toBe('kept')
    expect(mergeLogs(rewritten.log, honest.log).outcome).toBe('replaced')
  })

  test('one key that signed twice is proven, and the pinned branch stays', () => {
    const { base } = grown()
    const [a, b] = ['a@b.org', 'b@b.org'].map((address) => byDevice(base, base.device, naming(address)))
    const merged = mergeLogs(a!.log, b!.log)
    expect(merged.outcome).toBe('kept')
    expect(provesFork(merged.fork!, base.device.signing.publicKey)).toBe(true)
    expect(provesFork(merged.fork!, makeDevice(systemRandom).signing.publicKey)).toBe(false)
    expect(provesFork({ first: a!.log[2]!, second: a!.log[2]! }, base.device.signing.publicKey)).toBe(false)
    expect(
      provesFork(
        { first: { body: new Uint8Array(), signature: new Uint8Array(64) }, second: a!.log[2]! },
        base.device.signing.publicKey,
      ),
    ).toBe(false)
    // the root may decide, and the alarm is raised all the same
    const decided = byRoot(b!, { kind: 'revoke-device', device: base.device.id })
    expect(mergeLogs(a!.log, decided.log)).toMatchObject({ outcome: 'replaced' })
    expect(mergeLogs(a!.log, decided.log).fork).toBeDefined()
  })

  test('whoever is asked first, both sides end with the same log, in any order and grouping', () => {
    const { base, laptop } = grown()
    const signers = ['first', 'laptop', 'root', 'rotate'] as const
    const branch = fc.array(fc.constantFrom(...signers), { minLength: 0, maxLength: 3 })
    const grow = (steps: readonly (typeof signers)[number][], name: string): Person =>
      steps.reduce((person, step, index) => {
        const content = naming(`${name}${index}@b.org`)
        if (step === 'root') return byRoot(person, content)
        if (step === 'rotate') return byRoot(person, rotating(person))
        return byDevice(person, step === 'first' ? person.device : laptop, content)
      }, base)
    fc.assert(
      fc.property(branch, branch, branch, (x, y, z) => {
        const logs = [grow(x, 'x'), grow(y, 'y'), grow(z, 'z')].map(({ log }) => log)
        const pairs = [
          [0, 1],
          [0, 2],
          [1, 2],
        ] as const
        // equivocation is an alarm, not something that merging could heal
        if (pairs.some(([i, j]) => mergeLogs(logs[i]!, logs[j]!).fork !== undefined)) return
        const end = (order: readonly number[]): string => {
          const merged = order.slice(1).reduce((held, i) => mergeLogs(held, logs[i]!).entries, logs[order[0]!]!)
          return toHex(verifyLog(merged).head)
        }
        const ends = new Set(
          [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
          ].map(end),
        )
        expect(ends.size).toBe(1)
      }),
      { numRuns: 60 },
    )
  })
})

test('an entry says when and by whom, and round-trips', () => {
  const alice = makePerson()
  const body = readEntry(alice.log[0]!)
  expect(body).toMatchObject({ sequence: 0, atMs: nowMs, signer: { kind: 'root' } })
  expect(encode(entriesCodec, decode(entriesCodec, encode(entriesCodec, alice.log)))).toEqual(
    encode(entriesCodec, alice.log),
  )
})

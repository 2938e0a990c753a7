import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Accounts, openAccounts } from '../../../src/core/account/accounts.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { encodeAccount } from '../../../src/core/account/own-account.ts'
import { localNameFrom, parseLocalName } from '../../../src/core/account/local-name.ts'
import { parseWords, rootKeyOf } from '../../../src/core/identity/mnemonic.ts'
import { activeDevices } from '../../../src/core/identity/account-log.ts'
import { verifyBundle } from '../../../src/core/identity/bundle.ts'
import { prekeyIdAt } from '../../../src/core/identity/prekeys.ts'
import type { Address } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { parseAddress } from '../../../src/core/message/address.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { here, openWorld, stores } from './support.ts'

const dayMs = 24 * 3600_000

describe.each(stores)('accounts %s', (_name, open) => {
  test('a new account has words, an address in this zone and a fingerprint, and is found by any name', async () => {
    await using world = await openWorld(open)
    const { accounts } = world
    const made = await accounts.create({ localName: 'alice', displayName: 'Alice' })
    expect(made.address).toBe(`alice@${accounts.zoneDomain}`)
    expect(made.fingerprint).toMatch(/^(\d{5} ){11}\d{5}$/)
    const account = accounts.get(made.identity)
    expect(toHex(rootKeyOf(parseWords(made.mnemonic), 0).publicKey)).toBe(toHex(account.state.rootKey))
    expect(accounts.byUser('ALICE')?.identity).toBe(made.identity)
    expect(accounts.byUser(made.address.toUpperCase())?.identity).toBe(made.identity)
    expect(accounts.byUser('bob')).toBeUndefined()
    expect(accounts.ownsAddress(made.identity, made.address)).toBe(true)
    expect(account).toMatchObject({ displayName: 'Alice', disabled: false, recoveryConfirmed: false })
  })

  test('everything is there after opening again, under the same zone', async () => {
    await using world = await openWorld(open)
    const made = await world.accounts.create({ localName: 'alice' })
    await world.accounts.addAddress(made.identity, 'alice@example.org')
    await world.accounts.setDisabled(made.identity, true)
    const again = await openAccounts(world.store, world.ambient)
    expect(again.zoneDomain).toBe(world.accounts.zoneDomain)
    expect(again.get(made.identity)).toEqual(world.accounts.get(made.identity))
    expect(again.byUser('alice@example.org')?.disabled).toBe(true)
    const week = prekeyIdAt(world.clock.nowMs())
    expect(again.prekeySecret(made.identity, week)).toEqual(world.accounts.prekeySecret(made.identity, week))
  })

  test('names are unique on a gateway, also when two are made at once', async () => {
    await using world = await openWorld(open)
    const both = await Promise.allSettled([1, 2].map(() => world.accounts.create({ localName: 'alice' })))
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(world.accounts.list()).toHaveLength(1)
    await world.accounts.create({ localName: 'bob', address: 'bob@example.org' })
    const [alice] = world.accounts.list()
    await expect(world.accounts.addAddress(alice!.identity, 'BOB@example.org')).rejects.toMatchObject({
      code: 'address-taken',
    })
    expect(world.accounts.addresses(alice!.identity)).toHaveLength(1)
  })

  test('addresses that are none, or in another zone, are refused', async () => {
    await using world = await openWorld(open)
    const foreign = `alice@${'a'.repeat(52)}.myc`
    for (const address of ['alice', 'a b@c.org', foreign]) {
      await expect(world.accounts.create({ address })).rejects.toMatchObject({ code: 'invalid-address' })
    }
    await expect(world.accounts.create({ localName: 'Alice!' })).rejects.toMatchObject({ code: 'invalid-address' })
  })

  test('addresses come and go in the signed log, but the last one stays', async () => {
    await using world = await openWorld(open)
    const { identity, address } = await world.accounts.create({ localName: 'alice' })
    await world.accounts.addAddress(identity, 'alice@example.org')
    const other = parseAddress('alice@example.org')!
    expect(world.accounts.get(identity).state.addresses).toEqual([address, other])
    await world.accounts.removeAddress(identity, address)
    expect(world.accounts.get(identity).address).toBe(other)
    expect(world.accounts.byUser(address)).toBeUndefined()
    await expect(world.accounts.removeAddress(identity, other)).rejects.toMatchObject({ code: 'invalid-address' })
  })

  test('changes made at once all end in the log', async () => {
    await using world = await openWorld(open)
    const { identity } = await world.accounts.create({ localName: 'alice' })
    await Promise.all([1, 2, 3, 4].map((n) => world.accounts.addAddress(identity, `alice${n}@example.org`)))
    expect(world.accounts.addresses(identity)).toHaveLength(5)
  })

  test('a home that turns out to be an old copy goes on as a new device with prekeys of its own', async () => {
    await using world = await openWorld(open)
    const { identity } = await world.accounts.create({ localName: 'alice' })
    const old = world.accounts.deviceSecrets(identity).id
    const published = () => verifyBundle(world.accounts.bundle(identity, here), identity, world.clock.nowMs())
    let seenByWatcher: unknown
    world.accounts.watch(() => (seenByWatcher ??= published().devices.map(({ device }) => device)))
    await world.accounts.replaceDevice(identity, () => {})
    const fresh = world.accounts.deviceSecrets(identity).id
    expect(fresh).not.toBe(old)
    expect(activeDevices(world.accounts.get(identity).state).map(({ id }) => id)).toEqual([fresh])
    expect(published().devices).toMatchObject([{ device: fresh }])
    expect(published().devices[0]!.prekeys).toHaveLength(9)
    expect(seenByWatcher).toEqual([fresh])
    const again = await openAccounts(world.store, world.ambient)
    const encoded = (accounts: Accounts) => toHex(encodeAccount(accounts.get(identity)))
    expect(encoded(again)).toBe(encoded(world.accounts))
    expect(again.deviceSecrets(identity).id).toBe(fresh)
    // on somebody's word: not again today, whatever they say
    await expect(world.accounts.replaceDevice(identity, () => {})).rejects.toMatchObject({ code: 'throttled' })
    world.clock.wallMs += limits.deviceReplaceMsMin
    const failing = world.accounts.replaceDevice(identity, () => {
      throw new Error('sessions could not be retired')
    })
    await expect(failing).rejects.toThrow('sessions could not')
    expect(published().devices).toMatchObject([{ device: fresh }])
  })

  test('a removed account leaves nothing behind, and its names are free again', async () => {
    await using world = await openWorld(open)
    const first = await world.accounts.create({ localName: 'alice', keepWords: true })
    const bob = await world.accounts.create({ localName: 'bob' })
    await world.accounts.remove(first.identity)
    expect(world.accounts.list().map(({ identity }) => identity)).toEqual([bob.identity])
    expect(() => world.accounts.get(first.identity)).toThrow('no-such-account')
    for (const table of [tables.accounts, tables.deviceSecrets, tables.recovery]) {
      expect(world.store.read((tx) => [...tx.keys(table, {})])).toHaveLength(table === tables.recovery ? 0 : 1)
    }
    const second = await world.accounts.create({ localName: 'alice' })
    expect(second.identity).not.toBe(first.identity)
  })
})

describe('recovery words', () => {
  const wordsAt = (mnemonic: string, positions: readonly number[]) =>
    positions.map((position) => ({ position, word: mnemonic.split(' ')[position - 1]! }))
  const all = Array.from({ length: 24 }, (_, index) => index + 1)

  test('are not kept, and confirmed by all 24', async () => {
    await using world = await openWorld()
    const { identity, mnemonic } = await world.accounts.create({ localName: 'alice' })
    expect(() => world.accounts.recoveryWords(identity)).toThrow('words-confirmed')
    const some = world.accounts.confirmRecovery(identity, wordsAt(mnemonic, [1, 2, 3]))
    await expect(some).rejects.toMatchObject({ code: 'words-wrong' })
    await world.accounts.confirmRecovery(identity, wordsAt(mnemonic, all))
    expect(world.accounts.get(identity).recoveryConfirmed).toBe(true)
  })

  test('kept for later are shown until some of them are confirmed, then gone for good', async () => {
    await using world = await openWorld()
    const { identity, mnemonic } = await world.accounts.create({ localName: 'alice', keepWords: true })
    expect(world.accounts.recoveryWords(identity)).toBe(mnemonic)
    const wrong = [{ position: 1, word: 'zoo' }, ...wordsAt(mnemonic, [2])]
    if (mnemonic.startsWith('zoo ')) return
    await expect(world.accounts.confirmRecovery(identity, wrong)).rejects.toMatchObject({ code: 'words-wrong' })
    await expect(world.accounts.confirmRecovery(identity, [])).rejects.toMatchObject({ code: 'words-wrong' })
    await world.accounts.confirmRecovery(identity, wordsAt(mnemonic, [3, 11, 24]))
    expect(() => world.accounts.recoveryWords(identity)).toThrow('words-confirmed')
    expect(world.store.read((tx) => [...tx.keys(tables.recovery, {})])).toEqual([])
    const again = world.accounts.confirmRecovery(identity, wordsAt(mnemonic, all))
    await expect(again).rejects.toMatchObject({ code: 'words-confirmed' })
  })
})

describe('prekeys', () => {
  test('are published from this week to 8 weeks ahead, each with its private halves', async () => {
    await using world = await openWorld()
    const { identity } = await world.accounts.create({ localName: 'alice' })
    const verified = verifyBundle(world.accounts.bundle(identity, here), identity, world.clock.nowMs())
    const week = prekeyIdAt(world.clock.nowMs())
    const { prekeys } = verified.devices[0]!
    expect(prekeys.map(({ id }) => id)).toEqual(Array.from({ length: 9 }, (_, ahead) => week + ahead))
    for (const { id, dhPublic, kemPublic } of prekeys) {
      const secret = world.accounts.prekeySecret(identity, id)!
      expect(secret.dh.publicKey).toEqual(Buffer.from(dhPublic))
      expect(secret.kem.publicKey).toEqual(Uint8Array.from(kemPublic))
    }
  })

  test('stay until 35 days after their week or last use, and a day more', async () => {
    await using world = await openWorld()
    const { identity } = await world.accounts.create({ localName: 'alice' })
    const week = prekeyIdAt(world.clock.nowMs())
    const isHeld = (id: number): boolean => world.accounts.prekeySecret(identity, id) !== undefined
    const endsMs = (week + 1) * limits.prekeyPeriodMs
    world.clock.wallMs = endsMs + 10 * dayMs
    await world.store.write((tx) => world.accounts.prekeyUsed(tx, identity, week + 1))
    await world.store.write((tx) => world.accounts.prekeyUsed(tx, identity, week))
    world.clock.wallMs = endsMs + 45 * dayMs
    await world.accounts.rotatePrekeys(world.clock.wallMs)
    expect(isHeld(week)).toBe(true)
    world.clock.wallMs += 1
    await world.accounts.rotatePrekeys(world.clock.wallMs)
    expect(isHeld(week)).toBe(true)
    world.clock.wallMs += dayMs
    await world.accounts.rotatePrekeys(world.clock.wallMs)
    expect(isHeld(week)).toBe(false)
    expect(world.accounts.prekeySecret(identity, 999_999)).toBeUndefined()
  })

  test('survive a clock set forward by years for a moment', async () => {
    await using world = await openWorld()
    const { identity } = await world.accounts.create({ localName: 'alice' })
    const week = prekeyIdAt(world.clock.nowMs())
    const nowMs = world.clock.wallMs
    await world.accounts.rotatePrekeys(nowMs + 4000 * dayMs)
    await world.accounts.rotatePrekeys(nowMs + 4000 * dayMs + dayMs - 1)
    expect(world.accounts.prekeySecret(identity, week)).toBeDefined()
    await world.accounts.rotatePrekeys(nowMs)
    await world.accounts.rotatePrekeys(nowMs + 2 * dayMs)
    expect(world.accounts.prekeySecret(identity, week)).toBeDefined()
  })
})

describe('what others are told', () => {
  test('a bundle proves the address by the zone; an introduction is the same in 12 KB', async () => {
    await using world = await openWorld()
    const { identity, address } = await world.accounts.create({ localName: 'alice' })
    const nowMs = world.clock.nowMs()
    const bundle = world.accounts.bundle(identity, here)
    const introduction = world.accounts.introduction(identity, here)
    for (const bytes of [bundle, introduction]) {
      const verified = verifyBundle(bytes, identity, nowMs)
      expect(verified.names.map((name) => name.address)).toEqual([address])
      expect(verified.devices[0]!.locators).toMatchObject(here)
      expect(verified.headStatedAtMs).toBe(nowMs)
    }
    expect(verifyBundle(introduction, identity, nowMs).devices[0]!.prekeys).toHaveLength(2)
    expect(introduction.length).toBeLessThan(5000)
    expect(bundle.length).toBeLessThan(16_000)
  })

  test('an introduction stays within 12 KB however long the log is', async () => {
    await using world = await openWorld()
    const { identity } = await world.accounts.create({ localName: 'alice' })
    const before = world.accounts.entries(identity)
    const locators = Array.from({ length: 8 }, (_, i) => `/dns4/${String(i).repeat(200)}/tcp/4001`)
    for (let i = 0; i < 40; i += 1) {
      await world.accounts.addAddress(identity, `alice${i}@example.org`)
      await world.accounts.removeAddress(identity, `alice${i}@example.org` as Address)
    }
    const introduction = world.accounts.introduction(identity, { ...here, locators })
    expect(introduction.length).toBeLessThanOrEqual(limits.introductionWrittenBytesMax)
    expect(() => verifyBundle(introduction, identity, world.clock.nowMs())).toThrow('malformed')
    const known = world.accounts.entries(identity).slice(0, before.length + 70)
    expect(verifyBundle(introduction, identity, world.clock.nowMs(), known).state.length).toBe(before.length + 80)
  })

  test('locators are signed anew when they change, with a higher sequence, and not otherwise', async () => {
    await using world = await openWorld()
    const { identity } = await world.accounts.create({ localName: 'alice' })
    const first = world.accounts.locators(identity, here)
    expect(world.accounts.locators(identity, here)).toBe(first)
    const moved = world.accounts.locators(identity, { ...here, locators: ['/ip4/192.0.2.9/tcp/1'] })
    expect(moved).not.toEqual(first)
    await world.accounts.addAddress(identity, 'alice@example.org')
    expect(world.accounts.locators(identity, here)).not.toEqual(first)
  })
})

describe('local names', () => {
  test('are what mail, XMPP and Matrix all allow', () => {
    for (const good of ['alice', 'a', 'j.ruiz', 'bob-2', 'x_y']) expect(parseLocalName(good)).toBe(good)
    for (const bad of ['', 'Alice', '.a', 'a.', 'a..b', 'a b', 'é', 'a@b', 'x'.repeat(65)]) {
      expect(parseLocalName(bad)).toBeUndefined()
    }
  })

  test('can be made from anything', () => {
    expect(localNameFrom('José Ruiz')).toBe('jose.ruiz')
    expect(localNameFrom('DOMAIN\\bob')).toBe('domainbob')
    expect(localNameFrom('日本')).toBe('me')
    fc.assert(
      fc.property(fc.string(), (text) => {
        const name = localNameFrom(text)
        expect(parseLocalName(name)).toBe(name)
        expect(localNameFrom(name)).toBe(name)
      }),
    )
  })
})

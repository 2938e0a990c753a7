import { describe, expect, test } from 'vitest'
import { parseInvitation } from '../../../src/core/identity/invitation.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { here, openWorld, stores, type World } from './support.ts'

const guests = Array.from({ length: 20 }, (_, i) => i.toString(16).padStart(64, '0') as Identity)

async function make(world: World, lifeMs?: number) {
  const { identity } = await world.accounts.create({ localName: 'alice' })
  const account = world.accounts.get(identity)
  const made = await world.invitations.create(account, here, lifeMs)
  const { capability } = parseInvitation(made.link)
  const redeem = (by: Identity) => world.store.write((tx) => world.invitations.redeem(tx, capability, by))
  return { account, made, capability, redeem }
}

describe.each(stores)('invitations %s', (_name, open) => {
  test('of twenty who redeem at once exactly one is let in, and may come back', async () => {
    await using world = await openWorld(open)
    const { account, redeem } = await make(world)
    const answers = await Promise.all(guests.map(redeem))
    const winners = answers.flatMap((answer, i) => (answer.kind === 'redeemed' ? [guests[i]!] : []))
    expect(winners).toHaveLength(1)
    expect(answers.filter((answer) => answer.kind === 'refused' && answer.code === 'invitation-used')).toHaveLength(19)
    expect(await redeem(winners[0]!)).toEqual({ kind: 'redeemed', account: account.identity, first: false })
    expect(world.invitations.list(account.identity)).toMatchObject([{ usedBy: winners[0] }])
  })

  test('a transaction that fails leaves the invitation open', async () => {
    await using world = await openWorld(open)
    const { capability, redeem } = await make(world)
    const failing = world.store.write((tx) => {
      world.invitations.redeem(tx, capability, guests[0]!)
      throw new Error('no contact after all')
    })
    await expect(failing).rejects.toThrow('no contact after all')
    expect(await redeem(guests[1]!)).toMatchObject({ kind: 'redeemed', first: true })
  })

  test('an expired, revoked, unknown or malformed one is refused by name', async () => {
    await using world = await openWorld(open)
    const { account, made, redeem } = await make(world, limits.inviteExpiryMsMin)
    expect(made.expiresAtMs - world.clock.nowMs()).toBeLessThan(2 * limits.inviteExpiryMsMin + 1)
    world.clock.wallMs = made.expiresAtMs
    expect(await redeem(guests[0]!)).toEqual({ kind: 'refused', code: 'invitation-expired' })
    await world.invitations.revoke(account.identity, made.id)
    expect(await redeem(guests[0]!)).toEqual({ kind: 'refused', code: 'invitation-invalid' })
    await expect(world.invitations.revoke(account.identity, made.id)).rejects.toMatchObject({
      code: 'no-such-invitation',
    })
    for (const capability of [new Uint8Array(16), new Uint8Array(), new Uint8Array(1000)]) {
      const answer = await world.store.write((tx) => world.invitations.redeem(tx, capability, guests[0]!))
      expect(answer).toEqual({ kind: 'refused', code: 'invitation-invalid' })
    }
  })

  test('its capability opens the bundle for whoever holds it, until it is used or expires', async () => {
    await using world = await openWorld(open)
    const { account, made, capability, redeem } = await make(world)
    const opens = () => world.invitations.opens(account.identity, capability)
    expect(opens()).toBe(true)
    const other = await world.accounts.create({ localName: 'carol' })
    expect(world.invitations.opens(other.identity, capability)).toBe(false)
    world.clock.wallMs = made.expiresAtMs
    expect(opens()).toBe(false)
    world.clock.wallMs = made.createdAtMs
    await redeem(guests[0]!)
    expect(opens()).toBe(false)
    world.clock.wallMs = made.expiresAtMs
    expect(opens()).toBe(false)
  })

  test('the capability itself is not in the store', async () => {
    await using world = await openWorld(open)
    const { capability } = await make(world)
    const rows = world.store.read((tx) => [...tx.range(tables.invitations, {})])
    expect(rows).toHaveLength(1)
    for (const { key, value } of rows) expect(toHex(key) + toHex(value)).not.toContain(toHex(capability))
  })

  test('old ones are swept, others’ are not touched', async () => {
    await using world = await openWorld(open)
    const { account, made } = await make(world)
    world.clock.wallMs = made.expiresAtMs + limits.invitationKeepMs + 1
    const bob = await world.accounts.create({ localName: 'bob' })
    await world.invitations.create(world.accounts.get(bob.identity), here)
    expect(world.invitations.list(account.identity)).toEqual([])
    expect(world.invitations.list(bob.identity)).toHaveLength(1)
    await world.store.write((tx) => world.invitations.removeAll(tx, bob.identity))
    expect(world.invitations.list(bob.identity)).toEqual([])
  })
})

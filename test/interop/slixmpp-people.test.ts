/** slixmpp at two gateways: who its contact is, what the contact shows, what is kept for it. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { openStreamServer } from '../adapters/xmpp/stream-server.ts'
import { openWorld, type TestGateway } from '../support/world.ts'
import { requirePeer } from './support/peers.ts'

const python = '/usr/bin/python3'
const program = fileURLToPath(new URL('support/slixmpp-people.py', import.meta.url))

test(
  'slixmpp sees its contact, hears of a nick and a picture, and keeps what it likes',
  { timeout: 120_000 },
  async (context) => {
    requirePeer(context, 'python3', '/usr/lib/python3/dist-packages/slixmpp')
    await using world = await openWorld()
    const alice = await world.gateway('alice')
    const bob = await world.gateway('bob')
    await world.introduce(alice, bob)
    const stateAt = (one: TestGateway, other: TestGateway) =>
      one.knowledge.contacts.byIdentity(one.account, other.account)?.state
    await expect
      .poll(() => [stateAt(alice, bob), stateAt(bob, alice)], { timeout: 20_000 })
      .toEqual(['active', 'active'])
    await using atAlice = await openStreamServer(alice)
    await using atBob = await openStreamServer(bob)
    const servers = [atAlice, atBob].flatMap(({ port, password }) => [String(port), password])
    const { stdout } = await promisify(execFile)(python, [program, ...servers], { timeout: 100_000 })
    expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toEqual({
      contact: bob.address,
      subscription: 'both',
      nicks: ['Bobby'],
      hasPhoto: true,
      hasPicture: true,
      rooms: ['tea@groups.localhost'],
      blocked: [bob.address],
      software: 'Mycelium',
      isAlive: true,
    })
  },
)

/** slixmpp at two gateways: a chat with receipt and correction, a group as a room, and the archives of both. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { requirePeer } from './support/peers.ts'
import { runOk } from './support/processes.ts'
import { twoGateways } from './support/two-gateways.ts'

/** The one that Debian's packages are for. */
const python = '/usr/bin/python3'
const program = join(import.meta.dirname, 'support/slixmpp-chats.py')

test('two people with slixmpp chat, sing in a room and read it all again', { timeout: 180_000 }, async (context) => {
  requirePeer(context, 'python3', '/usr/lib/python3/dist-packages/slixmpp')
  await using world = await twoGateways()
  const logins: string[] = []
  for (const gateway of [world.alice, world.bob])
    logins.push(`${gateway.listeners.xmpp.port}`, await gateway.addPassword('slixmpp'))
  const { stdout } = await runOk(python, [program, ...logins], { timeoutMs: 120_000 })
  const sung = [
    ['alice', 'La'],
    ['bob', 'Li'],
  ]
  const said = ['Tea at fvie?', 'Tea at five?', 'Yes']
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toEqual({
    alice: ['Yes'],
    bob: ['Tea at fvie?', 'Tea at five?'],
    rooms: [sung, sung],
    archives: [said, said],
    roomArchive: ['La', 'Li'],
  })
})

/** Gateways that are killed while programs talk over them with stream management (XEP-0198). */
import { setDefaultCACertificates } from 'node:tls'
import { client, type Element, xml, type XmppClient } from '@xmpp/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Gateway } from './support/gateway-process.ts'
import { twoGateways, type TwoGateways } from './support/two-gateways.ts'

const parts = new AsyncDisposableStack()
let world: TwoGateways
beforeAll(async () => {
  world = parts.use(await twoGateways())
  setDefaultCACertificates([await world.alice.authority(), await world.bob.authority()])
}, 120_000)
afterAll(async () => {
  await parts.disposeAsync()
})

async function online(gateway: Gateway): Promise<XmppClient> {
  const xmpp = client({
    service: `xmpp://localhost:${gateway.listeners.xmpp.port}`,
    domain: 'localhost',
    username: gateway.name,
    password: await gateway.addPassword('xmpp'),
  })
  // its 2 s are not always enough where machines are shared
  xmpp.timeout = 30_000
  xmpp.on('error', () => {})
  await xmpp.start()
  await xmpp.send(xml('presence'))
  return xmpp
}

const isReady = ({ streamManagement }: XmppClient): boolean => streamManagement.enabled

test('many messages arrive once each in the eyes of their programs, though both gateways are killed meanwhile', async () => {
  const { alice, bob } = world
  const count = Number(process.env['MYCELIUM_XMPP_MESSAGES'] ?? 1_000)
  const sender = await online(alice)
  const receiver = await online(bob)
  const heard: number[] = []
  const resumed = { sender: 0, receiver: 0 }
  sender.streamManagement.on('resumed', () => (resumed.sender += 1))
  receiver.streamManagement.on('resumed', () => (resumed.receiver += 1))
  receiver.on('element', (element: Element) => {
    const body = element.name === 'message' ? element.getChildText('body') : null
    if (body !== null) heard.push(Number(body))
  })
  const kill = async (gateway: Gateway): Promise<void> => {
    await gateway.kill()
    await gateway.start()
  }
  let killing: Promise<void> = Promise.resolve()
  const kills = new Map([
    [Math.floor(count * 0.2), bob],
    [Math.floor(count * 0.5), alice],
    [Math.floor(count * 0.8), bob],
  ])
  for (let number = 0; number < count; number += 1) {
    await expect.poll(() => isReady(sender), { timeout: 60_000, interval: 5 }).toBe(true)
    const killed = kills.get(number)
    if (killed !== undefined) killing = killing.then(async () => await kill(killed))
    // what is not written is in the program's queue: it says it again on its resumed stream
    const said = sender.send(
      xml(
        'message',
        { to: bob.address, type: 'chat', id: `message-number-${number}` },
        xml('body', {}, String(number)),
      ),
    )
    await said.catch(() => {})
    if (number % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await killing
  await expect.poll(() => new Set(heard).size, { timeout: 120_000, interval: 100 }).toBe(count)
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  expect(heard).toHaveLength(count)
  expect(heard).toEqual(heard.toSorted((a, b) => a - b))
  // nobody has begun anew
  expect(resumed).toEqual({ sender: 1, receiver: 2 })
  await sender.stop()
  await receiver.stop()
}, 300_000)

/** One socket for all: what comes in goes to whom it is for, and nobody gets more answers than his share. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { Forwarder } from '../../../src/overlay/nat/forwarder.ts'
import type { Endpoint } from '../../../src/overlay/nat/endpoint.ts'
import { encodeProbe } from '../../../src/overlay/nat/probe.ts'
import { PunchSocket } from '../../../src/overlay/nat/punch-socket.ts'
import { encodeRequest } from '../../../src/overlay/nat/stun.ts'
import { ambient, within } from '../support.ts'

const host = '127.0.0.1'
const open = async (): Promise<PunchSocket> => (await PunchSocket.open({ family: 'ipv4', host, port: 0, ambient }))!
const at = ({ port }: { readonly port: number }): Endpoint => ({ family: 'ipv4', host, port })

test('two sockets tell each other where they are seen', async () => {
  await using one = await open()
  await using other = await open()
  expect(await one.ask(at(other), within(20_000))).toEqual(at(one))
  await expect(one.ask({ family: 'ipv4', host, port: 9 }, within(300))).rejects.toMatchObject({ code: 'unreachable' })
})

test('a taken port is no obstacle', async () => {
  await using one = await open()
  await using other = (await PunchSocket.open({ family: 'ipv4', host, port: one.port, ambient }))!
  expect(other.port).not.toBe(one.port)
})

test('binding requests are answered up to a bound', async () => {
  const standing = { ...ambient, clock: { ...ambient.clock, monotonicMs: () => 0 } }
  await using socket = (await PunchSocket.open({ family: 'ipv4', host, port: 0, ambient: standing }))!
  const asker = createSocket('udp4').bind(0, host)
  await once(asker, 'listening')
  let [answers, isAllRead] = [0, false]
  asker.on('message', () => (answers += 1))
  using _ = socket.listen(Buffer.alloc(8, 5), () => void (isAllRead = true))
  for (let count = 0; count < limits.stunPerSourceSecondMax * 3; count += 1)
    asker.send(encodeRequest(Buffer.alloc(12, count)), socket.port, host)
  asker.send(
    encodeProbe({ kind: 'probe', side: 'opener', session: Buffer.alloc(8, 5) }, Buffer.alloc(32, 1)),
    socket.port,
    host,
  )
  await expect.poll(() => isAllRead).toBe(true)
  await expect.poll(() => answers).toBe(limits.stunPerSourceSecondMax)
  asker.close()
})

test('probes go to their session, other datagrams to the route of their sender, and strangers are not heard', async () => {
  await using socket = await open()
  await using friend = await open()
  await using stranger = await open()
  const session = Buffer.alloc(8, 5)
  const key = Buffer.alloc(32, 1)
  const heard: string[] = []
  using _ = socket.listen(session, () => void heard.push('probe'))
  const route = socket.route(at(friend), (bytes) => void heard.push(Buffer.from(bytes).toString()))
  stranger.send(encodeProbe({ kind: 'probe', side: 'opener', session }, key), at(socket))
  stranger.send(Buffer.from('from a stranger'), at(socket))
  friend.send(Buffer.from('from a friend'), at(socket))
  friend.send(encodeProbe({ kind: 'probe', side: 'opener', session: Buffer.alloc(8, 6) }, key), at(socket))
  await expect.poll(() => heard.length).toBe(3) // a datagram that only looks like a probe is QUIC's
  expect(heard.filter((what) => what === 'probe' || what === 'from a friend').toSorted()).toEqual([
    'from a friend',
    'probe',
  ])
  route[Symbol.dispose]()
  friend.send(Buffer.from('too late'), at(socket))
  friend.send(encodeProbe({ kind: 'probe', side: 'opener', session }, key), at(socket))
  await expect.poll(() => heard.slice(3)).toEqual(['probe'])
})

test('a forwarder carries both ways, for its first user alone', async () => {
  await using socket = await open()
  await using far = await open()
  const arrived: string[] = []
  using _ = far.route(at(socket), (bytes) => {
    arrived.push(Buffer.from(bytes).toString())
    far.send(Buffer.from('back'), at(socket))
  })
  await using forwarder = await Forwarder.open({ socket, outside: at(far) })
  const [user, other] = await Promise.all(
    [0, 1].map(async () => {
      const made = createSocket('udp4').bind(0, host)
      await once(made, 'listening')
      return made
    }),
  )
  const answers: string[] = []
  user!.on('message', (bytes) => void answers.push(bytes.toString()))
  user!.send('there', forwarder.address.port, host)
  await expect.poll(() => answers).toEqual(['back'])
  other!.send('not mine', forwarder.address.port, host, () => user!.send('more', forwarder.address.port, host))
  await expect.poll(() => answers).toEqual(['back', 'back'])
  user!.close()
  other!.close()
  expect(arrived).toEqual(['there', 'more'])
})

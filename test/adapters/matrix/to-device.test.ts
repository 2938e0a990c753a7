/** Messages to single devices: each once, none lost, however many wait. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readToken, writeToken } from '../../../src/adapters/matrix/sync/token.ts'
import { parseInvitation } from '../../../src/core/identity/invitation.ts'
import { type Answer, openStages, type Program } from './support.ts'

async function openOffice() {
  const stages = await openStages(['alice'])
  const server = stages.of('alice')
  const { identity } = await server.gateway.knowledge.accounts.create({ localName: 'bob' })
  const [desk, phone, bob] = [await server.logIn(), await server.logIn(), await server.logIn(identity)]
  await phone.sync()
  return { server, bobs: identity, desk, phone, bob, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

const send = async (from: Program, to: Program, txn: string, content: object): Promise<Answer> =>
  await from.put(`/sendToDevice/m.test/${txn}`, { messages: { [to.user]: { [to.device]: content } } })
const numbers = (answer: Answer): readonly number[] =>
  answer.to_device?.events.map(({ content }: Answer) => content.number) ?? []

test('more messages than one answer holds come in order over several, also when each answer is lost once', async () => {
  await using office = await openOffice()
  const { desk, phone } = office
  for (let number = 0; number < 230; number += 1) await send(desk, phone, `${number}`, { number })
  const all: number[] = []
  while (all.length < 230) {
    const before = phone.since
    const lost = numbers(await phone.sync())
    phone.since = before
    const heard = numbers(await phone.sync())
    expect(heard).toEqual(lost)
    expect(heard.length).toBeLessThanOrEqual(100)
    all.push(...heard)
  }
  expect(all).toEqual(Array.from({ length: 230 }, (_, number) => number))
  expect(numbers(await phone.sync())).toEqual([])
})

test('a program that waits for news is woken by a message to its device', async () => {
  await using office = await openOffice()
  const { desk, phone } = office
  const waiting = phone.sync({ timeout: '20000' })
  await send(desk, phone, '1', { number: 1 })
  expect(numbers(await waiting)).toEqual([1])
})

test('what waits is kept where a program comes with a token of another life, and comes whole', async () => {
  await using office = await openOffice()
  const { desk, phone } = office
  await send(desk, phone, '1', { number: 1 })
  expect(numbers(await phone.get('/sync?since=s999999'))).toEqual([1])
  expect(numbers(await phone.get('/sync?since=s999999'))).toEqual([1])
  expect(numbers(await phone.get('/sync'))).toEqual([1])
})

test('accounts of one gateway write to each other’s devices, and people elsewhere have none', async () => {
  await using office = await openOffice()
  const { desk, phone, bob } = office
  await bob.sync()
  await bob.post('/createRoom', { invite: [desk.user] })
  await bob.sync()
  await desk.put('/sendToDevice/m.test/1', {
    messages: { [bob.user]: { '*': { number: 1 }, NONE: { number: 0 } }, '@x:elsewhere.example': { '*': {} } },
  })
  const { to_device: heard } = await bob.sync()
  expect(heard.events).toEqual([{ type: 'm.test', sender: desk.user, content: { number: 1 } }])
  expect(numbers(await phone.sync())).toEqual([])
})

test('whoever has blocked somebody hears nothing on their devices from them', async () => {
  await using office = await openOffice()
  const { desk, bob, server, bobs } = office
  const { gateway } = server
  const { contacts, store, invitations, accounts } = gateway.knowledge
  const { overlay } = gateway.node
  const at = { gateway: overlay.self, locators: overlay.locators() }
  const { link } = await invitations.create(accounts.get(gateway.account), at)
  await store.write((tx) => contacts.using(tx).addPending(bobs, parseInvitation(link)))
  await bob.sync()
  await send(desk, bob, '1', { number: 1 })
  expect(numbers(await bob.sync())).toEqual([1])
  await store.write((tx) => contacts.using(tx).block(bobs, gateway.account))
  await send(desk, bob, '2', { number: 2 })
  expect(numbers(await bob.sync())).toEqual([])
})

test('a message that is too long is refused, and nothing of its request is sent', async () => {
  await using office = await openOffice()
  const { desk, phone } = office
  const messages = { [desk.user]: { [phone.device]: { number: 1 }, [desk.device]: { long: 'x'.repeat(70_000) } } }
  expect(await desk.refused('PUT', '/sendToDevice/m.test/1', { messages })).toBe('413 M_TOO_LARGE')
  expect(await desk.refused('PUT', `/sendToDevice/m.test/${'t'.repeat(300)}`, { messages: {} })).toBe('413 M_TOO_LARGE')
  expect(numbers(await phone.sync())).toEqual([])
})

test('of more than may wait for one device the oldest go', async () => {
  await using office = await openOffice()
  const { desk, phone } = office
  for (let at = 0; at < 1003; at += 50)
    await Promise.all(
      Array.from(
        { length: Math.min(50, 1003 - at) },
        async (_, more) => await send(desk, phone, `${at + more}`, { number: at + more }),
      ),
    )
  const all: number[] = []
  for (;;) {
    const heard = numbers(await phone.sync())
    if (heard.length === 0) break
    all.push(...heard)
  }
  const missing = Array.from({ length: 1003 }, (_, number) => number).filter((number) => !all.includes(number))
  expect([all.length, missing.length]).toEqual([1000, 3])
  // of those that were sent together first
  expect(Math.max(...missing)).toBeLessThan(50)
})

test('a token says where a program stands, also where messages to its device wait, in this run and the next', () => {
  const run = fc.stringMatching(/^[\w-]{8}$/)
  fc.assert(
    fc.property(run, run, fc.nat(), fc.nat(), fc.nat(), (one, other, number, moment, behind) => {
      const toDevice = Math.max(0, number - behind)
      const token = writeToken({ number, moment, toDevice }, one)
      expect(readToken(token, one)).toEqual({ number, moment, toDevice })
      if (one !== other) expect(readToken(token, other)).toEqual({ number, moment: 0, toDevice })
    }),
  )
})

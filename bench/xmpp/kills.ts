/**
 * Gateways that are killed (kill -9) while a program sends messages over them to a program at the other one, both with
 * stream management (XEP-0198). What counts is what the receiving program was given.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { setDefaultCACertificates } from 'node:tls'
import { type Element, xml, type XmppClient } from '@xmpp/client'
import type { Gateway } from '../../test/interop/support/gateway-process.ts'
import { logInWithLibrary } from '../../test/interop/support/library-client.ts'
import { twoGateways } from '../../test/interop/support/two-gateways.ts'

interface KillRun {
  readonly messages: number
  /** Spread evenly over the messages; of the receiver's gateway first, then in turn. */
  readonly kills: number
}

/** Counts of messages, but for the last. */
interface KillOutcome {
  readonly lost: number
  readonly doubled: number
  readonly disordered: number
  /** Streams that went on after a kill; one that does not begins anew. */
  readonly resumed: number
}

/** How long nothing may arrive before what is missing counts as lost, and how long is looked for doubles after the last. */
const silenceMsMax = 120_000
const doublesMs = 3_000

export async function killRun({ messages, kills }: KillRun): Promise<KillOutcome> {
  await using world = await twoGateways()
  const { alice, bob } = world
  setDefaultCACertificates([await alice.authority(), await bob.authority()])
  const sender = await logInWithLibrary(alice)
  const receiver = await logInWithLibrary(bob)
  let resumed = 0
  for (const { streamManagement } of [sender, receiver]) streamManagement.on('resumed', () => (resumed += 1))
  const heard: number[] = []
  receiver.on('element', (element: Element) => {
    const body = element.name === 'message' ? element.getChildText('body') : null
    if (body !== null) heard.push(Number(body))
  })
  const killed = new Map(
    Array.from({ length: kills }, (_, kill) => [
      Math.floor(((kill + 1) * messages) / (kills + 1)),
      kill % 2 === 0 ? bob : alice,
    ]),
  )
  let killing = Promise.resolve()
  for (let number = 0; number < messages; number += 1) {
    const gateway = killed.get(number)
    if (gateway !== undefined) {
      await killing
      killing = killAndStart(gateway, gateway === alice ? sender : receiver)
      // this library's program takes messages without a connection, and forgets them
      if (gateway === alice) await killing
    }
    const message = xml(
      'message',
      { to: bob.address, type: 'chat', id: `number-${number}` },
      xml('body', {}, `${number}`),
    )
    await sender.send(message)
    if (number % 10 === 0) await sleep(2)
  }
  await killing
  await untilQuiet(() => new Set(heard).size, messages)
  await sleep(doublesMs)
  await Promise.all([sender.stop(), receiver.stop()])
  const different = new Set(heard)
  return {
    lost: messages - different.size,
    doubled: heard.length - different.size,
    disordered: heard.filter((number, index) => index > 0 && number < heard[index - 1]!).length,
    resumed,
  }
}

/** Until its program is back too, so that the next kill meets a stream. */
async function killAndStart(gateway: Gateway, program: XmppClient): Promise<void> {
  const back = new Promise<void>((resolve) => {
    program.streamManagement.once('resumed', resolve)
    program.once('online', () => resolve())
  })
  await gateway.kill()
  await gateway.start()
  await back
}

/** Until the count has reached `wanted`, or has not risen for a long time. */
async function untilQuiet(count: () => number, wanted: number): Promise<void> {
  let [last, since] = [count(), performance.now()]
  while (last < wanted && performance.now() - since < silenceMsMax) {
    await sleep(100)
    if (count() > last) [last, since] = [count(), performance.now()]
  }
}

/** What is written while the other's machine cannot be reached, on a local network without internet, and how soon it is there afterwards. */
import { setTimeout as sleep } from 'node:timers/promises'
import { becomeContacts, startLabGateway, until } from './lab-gateway.ts'
import { openLan } from './lan.ts'

const contactMsMax = 60_000

interface Moved {
  /** From the moment at which there was a network again, milliseconds. */
  readonly drainMs: number
  /** Where the other one sees its contacts then. */
  readonly remotes: readonly string[]
}

/** Two fresh gateways find each other by multicast; then one of them is without an address, and gets another one. */
export async function runMove([first, second, moved]: readonly [string, string, string]): Promise<Moved> {
  await using lan = await openLan()
  const alicesMachine = await lan.add()
  await using alice = await startLabGateway('alice', alicesMachine)
  const { link } = await alice.ask('inviteCreate', { expiresMs: 3600_000 }) // while she has no network at all
  await alicesMachine.ip(`addr add ${first} dev eth0`)
  await using bob = await startLabGateway('bob', await lan.add(second))
  await until(
    'seen by multicast',
    async () => (await bob.ask('inviteAccept', { link })).state === 'active',
    contactMsMax,
  )
  await bob.send(alice.address, 'hello')
  await alice.waitFor('hello')

  await alicesMachine.ip(`addr del ${first} dev eth0`)
  await bob.send(alice.address, 'queued')
  const arrival = alice.waitFor('queued') // the mail program starts before the clock does
  await sleep(2_000)
  await alicesMachine.ip(`addr add ${moved} dev eth0`)
  const movedAtMs = Date.now()
  const drainMs = (await arrival) - movedAtMs
  return { drainMs, remotes: (await bob.ask('peers', {})).map(({ remote }) => remote ?? '') }
}

/** One of two machines sleeps. @returns milliseconds from its waking until it had what was written meanwhile */
export async function runSleep(sleepMs: number): Promise<number> {
  await using lan = await openLan()
  await using alice = await startLabGateway('alice', await lan.add('192.168.7.1/24'))
  await using bob = await startLabGateway('bob', await lan.add('192.168.7.2/24'))
  await becomeContacts(alice, bob)
  await alice.send(bob.address, 'awake')
  await bob.waitFor('awake')

  process.kill(bob.pid, 'SIGSTOP')
  await sleep(1_000)
  await alice.send(bob.address, 'meanwhile')
  await sleep(sleepMs)
  const arrival = bob.waitFor('meanwhile') // the mail program starts before the clock does
  await sleep(2_000)
  process.kill(bob.pid, 'SIGCONT')
  const wokeAtMs = Date.now()
  return (await arrival) - wokeAtMs
}

/** Two people, one gateway each, who have exchanged an invitation: where almost every test with real clients starts. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Gateway, type Accepted } from './gateway-process.ts'

export interface TwoGateways extends AsyncDisposable {
  readonly alice: Gateway
  readonly bob: Gateway
}

interface ContactRow {
  readonly addresses: readonly { readonly address: string }[]
  readonly state: string
}

/** Between two processes on one machine an invitation is answered at once; this leaves room for a loaded CI. */
const contactMsMax = 20_000

/**
 * @param settings of both gateways, `key=value`
 * @param own of one of them
 */
export async function twoGateways(
  settings: readonly string[] = [],
  own: { readonly alice: readonly string[]; readonly bob: readonly string[] } = { alice: [], bob: [] },
): Promise<TwoGateways> {
  await using parts = new AsyncDisposableStack()
  const alice = parts.use(await Gateway.create('alice', [...settings, ...own.alice]))
  const bob = parts.use(await Gateway.create('bob', [...settings, ...own.bob]))
  await Promise.all([alice.start(), bob.start()])
  const { link } = await alice.verb<{ link: string }>('invite', 'create')
  await bob.verb<Accepted>('invite', 'accept', link)
  await Promise.all([untilContact(alice, bob.address), untilContact(bob, alice.address)])
  const owned = parts.move()
  return { alice, bob, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function untilContact(gateway: Gateway, address: string): Promise<void> {
  const deadline = performance.now() + contactMsMax
  for (;;) {
    const contacts = await gateway.verb<readonly ContactRow[]>('contact', 'list')
    const found = contacts.find((contact) => contact.addresses.some((one) => one.address === address))
    if (found?.state === 'active') return
    if (performance.now() > deadline) {
      throw new Error(`${gateway.name} has no finished contact ${address}: ${JSON.stringify(contacts)}\n${gateway.log}`)
    }
    await sleep(100)
  }
}

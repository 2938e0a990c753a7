/** Two accounts of one gateway, each with a program that is there. */
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { createAccount } from '../../../src/operations/accounts.ts'
import { openWorld, type TestGateway } from '../../support/world.ts'
import { type BoundClient, openTestXmpp, type TestXmpp } from './harness.ts'
import { xml } from './xml.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }

export interface Neighbours extends AsyncDisposable {
  readonly alice: TestGateway
  readonly xmpp: TestXmpp
  readonly carol: Identity
  readonly desk: BoundClient
  readonly hers: BoundClient
}

/** Alice's `desk` and Carol's `hers`, both there. */
export async function openNeighbours(): Promise<Neighbours> {
  const world = await openWorld()
  const alice = await world.gateway('alice')
  await createAccount(alice.knowledge, ambient, {
    localName: 'carol',
    address: undefined,
    displayName: 'Carol',
  })
  const carol = alice.knowledge.accounts.byUser('carol')!.identity
  const xmpp = openTestXmpp(alice)
  const [desk, hers] = [xmpp.bind('desk'), xmpp.bind('hers', carol)]
  for (const client of [desk, hers]) await client.say(xml('<presence/>'))
  for (const client of [desk, hers]) client.take()
  return {
    alice,
    xmpp,
    carol,
    desk,
    hers,
    async [Symbol.asyncDispose]() {
      xmpp[Symbol.dispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

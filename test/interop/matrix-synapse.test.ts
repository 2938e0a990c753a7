/** The real Synapse of the tests itself: what it needs to be for programs that stand behind it. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { requireMade } from './support/made-on-demand.ts'
import { MatrixProgram } from './support/matrix-program.ts'
import { Synapse } from './support/synapse.ts'

interface Transaction {
  readonly events: readonly { readonly type: string; readonly state_key?: string; readonly sender: string }[]
}

test('an application service is told who invites its users', { timeout: 60_000 }, async (context) => {
  await requireMade(context, 'synapse')
  const inviters: string[] = []
  const service = createServer((request, response) => {
    void (async () => {
      const { events } = request.method === 'PUT' ? ((await json(request)) as Transaction) : { events: [] }
      for (const { type, state_key, sender } of events)
        if (type === 'm.room.member' && state_key === '@_bridge_bob:localhost') inviters.push(sender)
      response.setHeader('content-type', 'application/json')
      response.end('{}')
    })()
  }).listen(0, '127.0.0.1')
  await once(service, 'listening')
  await using _ = { [Symbol.asyncDispose]: async () => void service.close() }
  await using synapse = await Synapse.open({
    users: { alice: 'secret' },
    appServices: [
      JSON.stringify({
        id: 'bridge',
        url: `http://127.0.0.1:${(service.address() as AddressInfo).port}`,
        as_token: 'to the server',
        hs_token: 'to the service',
        sender_localpart: 'bridge',
        namespaces: { users: [{ exclusive: true, regex: '@_bridge_.*' }], aliases: [], rooms: [] },
      }),
    ],
  })
  await using alice = await MatrixProgram.logIn({ homeserver: synapse.url, user: 'alice', password: 'secret' })
  await alice.startChat(synapse.userId('_bridge_bob'))
  await expect.poll(() => inviters).toEqual(['@alice:localhost'])
})

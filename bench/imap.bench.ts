/**
 * How much processor time what mail programs ask takes, beside Dovecot with the same mails; how large an account may
 * grow; and how soon one mail program sees what another one did.
 */
import type { Bench } from '../scripts/bench.ts'
import { compare, rounded } from './imap/compare.ts'
import { pushes, scale } from './imap/scale.ts'
import { fill, openDovecot, openGateway, settled } from './imap/servers.ts'

export const bench: Bench = async ({ quick, say }) => {
  await using scope = new AsyncDisposableStack()
  const gateway = await openGateway(scope)
  const dovecot = await openDovecot(scope, say)
  const servers = dovecot === undefined ? [gateway] : [gateway, dovecot]
  const mails = quick ? 5000 : 20_000
  for (const { client } of servers)
    for (const name of ['Copies', 'Appended', 'Pushed']) await client.run(`CREATE ${name}`)
  const startedAt = performance.now()
  const octets = await fill(servers, mails)
  await settled(gateway, quick ? 5000 : 30_000)
  const tookS = ((performance.now() - startedAt) / 1000).toFixed(1)
  say(
    `${mails} mails, ${(octets / 1e6).toFixed(1)} MB, filled in ${tookS} s${quick ? ' (20,000 without --quick)' : ''}`,
  )
  const compared = await compare(servers, quick ? 3 : 5, say)
  const push = await pushes(gateway.client, gateway.logIn, { programs: 1, mails: quick ? 200 : 1000 })
  const scaled = await scale(gateway, mails)
  return [...compared, { name: 'idle_push_p95', unit: 'ms', value: rounded(push) }, ...scaled]
}

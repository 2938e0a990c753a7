/** Networks that are cut, and gateways that are killed, while programs talk over two gateways with stream management (XEP-0198). */
import { expect, test } from 'vitest'
import { cutRun } from '../../bench/xmpp/cuts.ts'

test('many messages are shown once each and in order by every program, though the network is cut in every way and gateways are killed meanwhile', async () => {
  const messages = Number(process.env['MYCELIUM_XMPP_MESSAGES'] ?? 600)
  const cuts = Number(process.env['MYCELIUM_XMPP_CUTS'] ?? 12)
  const seed = Number(process.env['MYCELIUM_XMPP_SEED'] ?? 1)
  const outcome = await cutRun({ messages, cuts, seed })
  expect(outcome).toMatchObject({
    lost: 0,
    doubled: 0,
    disordered: 0,
    refused: 0,
    unacknowledged: 0,
    echoes: 0,
    ghosts: 0,
    faults: [],
  })
}, 600_000)

/** Gateways that are killed while programs talk over them with stream management (XEP-0198). */
import { expect, test } from 'vitest'
import { killRun } from '../../bench/xmpp/kills.ts'

test('many messages arrive once each in the eyes of their programs, though both gateways are killed meanwhile', async () => {
  const messages = Number(process.env['MYCELIUM_XMPP_MESSAGES'] ?? 600)
  const kills = Number(process.env['MYCELIUM_XMPP_KILLS'] ?? 3)
  // every stream goes on: nobody has begun anew
  expect(await killRun({ messages, kills })).toEqual({ lost: 0, doubled: 0, disordered: 0, resumed: kills })
}, 600_000)

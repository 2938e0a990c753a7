import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runFaults } from '../../bench/support/faults-run.ts'
import { Side } from '../../bench/support/faults-side.ts'
import { Ledger } from '../../bench/support/ledger.ts'
import { buildShim } from '../../bench/support/power-loss.ts'
import { seeded } from '../../bench/support/seeded.ts'

const missing = spawnSync('cc', ['--version']).error !== undefined || process.platform !== 'linux'
const needsCompiler = test.skipIf(missing && process.env['CI'] === undefined)

const perfect = { loss: 0, doubles: 0, swaps: 0 }
const quiet = (): void => {}

needsCompiler(
  'two gateways that are killed and lose their power keep what they acknowledged and show it once (needs Linux and cc)',
  async () => {
    const link = { loss: 0, doubles: 0.1, swaps: 0.1 }
    const found = await runFaults({ messages: 40, kills: 3, seed: 1, link, withinMs: 50_000, say: quiet })
    expect(found).toMatchObject({ kills: 3, lost: 0, shownTwice: 0, acknowledgedUncommitted: 0 })
    expect(found.messages).toBeGreaterThanOrEqual(40)
  },
  60_000,
)

needsCompiler(
  'a gateway whose disk only says that it writes is found out (needs Linux and cc)',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mycelium-faults-'))
    try {
      const shim = await buildShim(folder)
      const ledger = new Ledger()
      const start = async (name: string): Promise<Side> =>
        await Side.start({
          name,
          folder,
          shim,
          link: perfect,
          onEvent: (event) => {
            if (event.kind === 'acknowledged') ledger.acknowledge(event.number, event.id)
          },
        })
      await using alice = await start('alice')
      await using bob = await start('bob')
      await bob.accept(await alice.invite())
      await alice.kill() // so that all of it stays in the queue
      await bob.submit(1, 3)
      bob.lie()
      await bob.submit(4, 3)
      await bob.pullPlug(1, seeded(1))
      await bob.restart()
      ledger.compare(ledger.snapshot(), await bob.outgoing(), [])
      expect(ledger.close([]).uncommitted).toEqual([4, 5, 6])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  30_000,
)

test('the ledger names what is lost, shown twice, moved, early and foreign', () => {
  const ledger = new Ledger()
  for (const number of [1, 2, 3, 4]) ledger.acknowledge(number, `id ${number}`)
  ledger.show({ place: 'INBOX 1/1', number: 1 })
  ledger.show({ place: 'INBOX 1/2', number: 2 })
  const kept = ledger.expectKept()
  const incoming = [
    { place: 'INBOX 1/1', number: 1 },
    { place: 'INBOX 1/3', number: 2 },
    { place: 'Requests 1/1', number: undefined },
  ]
  kept(incoming)
  ledger.compare(ledger.snapshot(), { sent: [1, 2, 3], queued: ['id 4'] }, incoming)
  const account = ledger.close(incoming)
  expect(account.uncommitted).toEqual([3, 4])
  expect(new Set(account.lost)).toEqual(new Set([2, 3, 4]))
  expect(account.shownTwice).toEqual([2])
  expect(account.foreign).toEqual(['Requests 1/1'])
})

/**
 * Chat programs on machines of their own, whose packets to their gateways are dropped by a packet filter, one way or both,
 * and those between the gateways: what the systems still send again arrives when it may, with new connections or after.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { archiveOf, sumOf, until, untilQuiet, type View, view, write } from '../../../bench/xmpp/cuts.ts'
import { ManagedProgram, type ProgramSettings } from '../../../bench/xmpp/managed-program.ts'
import { below, type Random, seeded } from '../../../bench/support/seeded.ts'
import { Program } from '../../interop/support/processes.ts'
import { becomeContacts, type LabGateway, startLabGateway } from './lab-gateway.ts'
import { type Lan, openLan } from './lan.ts'
import type { Namespace } from './namespaces.ts'

const dialer = resolve(import.meta.dirname, 'dial-process.ts')
const port = 5223
const readyMsMax = 20_000
const cutMsMin = 500
const cutMsMax = 6_000
const doublesMs = 3_000
const quietMs = 60_000

/** What a machine's packet filter does for a while: nothing comes in, nothing goes out, or both. */
const cuts = ['input', 'output', 'both'] as const
type Cut = (typeof cuts)[number]

interface Outcome {
  readonly views: readonly View[]
  readonly resumed: number
  readonly refused: number
  readonly faults: readonly string[]
}

interface Person extends AsyncDisposable {
  readonly gateway: LabGateway
  /** Of the gateway, and of the program. */
  readonly machines: readonly [Namespace, Namespace]
  readonly program: ManagedProgram
  readonly settings: ProgramSettings
}

/** @param place in 192.168.7.0/24: of the gateway, the program's is ten after it */
async function person(lan: Lan, name: string, place: number): Promise<Person> {
  await using scope = new AsyncDisposableStack()
  const machine = await lan.add(`192.168.7.${place}/24`)
  const ownMachine = await lan.add(`192.168.7.${place + 10}/24`)
  const listeners = ['xmpp.port=0', `xmpps.port=${port}`, 'xmpps.host="0.0.0.0"']
  const gateway = scope.use(await startLabGateway(name, machine, listeners))
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-dial-'))
  scope.defer(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'socket')
  const address = `192.168.7.${place}`
  const args = ['netns', 'exec', ownMachine.name, process.execPath, dialer, path, address, String(port)]
  const dialing = scope.use(new Program('ip', args))
  await dialing.waitFor('socket', readyMsMax, () => (dialing.stdout.includes('ready') ? true : undefined))
  const { password } = await gateway.ask('passwordAdd', { name: 'desk' })
  const settings: ProgramSettings = {
    dial: () =>
      connectTls({ path, servername: 'localhost', rejectUnauthorized: false, ALPNProtocols: ['xmpp-client'] }),
    user: name,
    password,
    resource: 'desk',
    isInline: name === 'bob',
  }
  const program = scope.use(await ManagedProgram.start(settings))
  const owned = scope.move()
  return {
    gateway,
    machines: [machine, ownMachine],
    program,
    settings,
    [Symbol.asyncDispose]: async () => await owned[Symbol.asyncDispose](),
  }
}

/** Of two people, half of the messages from each; so many times each program, and as often the gateways. */
export async function runXmppCuts(messages: number, times: number, seed: number): Promise<Outcome> {
  await using lan = await openLan()
  await using alice = await person(lan, 'alice', 1)
  await using bob = await person(lan, 'bob', 2)
  await becomeContacts(alice.gateway, bob.gateway)
  const random = seeded(seed)
  const each = messages / 2
  const both = [alice, bob]
  const cutting = Promise.all([
    ...both.map(async ({ machines }) => await cutOften(machines[1], times, random)),
    cutOften(bob.machines[0], times, random, 'ip saddr 192.168.7.1', 'ip daddr 192.168.7.1'),
  ])
  await Promise.all([
    write(alice.program, bob.gateway.address, each, random, async (number) => {
      await sleep(pauseMs(times, each))
      return `id='a${number}'`
    }),
    write(bob.program, alice.gateway.address, each, random, async (number) => {
      await sleep(pauseMs(times, each))
      return `id='b${number}'`
    }),
  ])
  await cutting
  const shown = (): readonly View[] =>
    both.map(({ gateway, program }) =>
      view(
        gateway.name,
        program.shown.filter(({ isOwn }) => !isOwn),
        each,
      ),
    )
  await untilQuiet(() => -sumOf(shown(), ({ lost }) => lost), 0)
  await until(() => both.every(({ program }) => program.waiting === 0), quietMs)
  await sleep(doublesMs)
  const archives = await Promise.all(
    both.map(async ({ gateway, settings }) => {
      const { password } = await gateway.ask('passwordAdd', { name: 'reader' })
      const archive = await archiveOf({ ...settings, password })
      return [true, false].map((own) =>
        view(
          `archive of ${gateway.name}, ${own ? 'own' : 'others'}`,
          archive.filter(({ isOwn }) => isOwn === own),
          each,
        ),
      )
    }),
  )
  return {
    views: [...shown(), ...archives.flat()],
    resumed: both.reduce((sum, { program }) => sum + program.resumed, 0),
    refused: both.reduce((sum, { program }) => sum + program.refused, 0),
    faults: both.flatMap(({ program }) => program.faults),
  }
}

/** So that messages are said for about as long as there are cuts. */
const pauseMs = (times: number, each: number): number => (times * (cutMsMin + cutMsMax)) / each

/** @param from which packets that come in are dropped, and which that go out; all that are of a network otherwise */
async function cutOften(
  machine: Namespace,
  times: number,
  random: Random,
  from = 'iif "eth0"',
  to = 'oif "eth0"',
): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    await sleep(cutMsMin + below(random, cutMsMax - cutMsMin))
    await machine.rules(rulesOf(cuts[below(random, cuts.length)]!, from, to))
    await sleep(cutMsMin + below(random, cutMsMax - cutMsMin))
    await machine.rules('delete table inet cut')
  }
}

const rulesOf = (cut: Cut, from: string, to: string): string => `table inet cut {
  chain input { type filter hook input priority 0; ${cut === 'output' ? '' : `${from} drop;`} }
  chain output { type filter hook output priority 0; ${cut === 'input' ? '' : `${to} drop;`} }
}
`

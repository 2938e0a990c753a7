/**
 * Networks that are cut again and again while two people write to each other, each with two programs that manage their
 * streams (XEP-0198), over two gateways: between a program and its gateway, and between the gateways, which are killed now
 * and then too. What counts is what each program has shown, what a sender's other program has heard of it (XEP-0280), and what both archives hold.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Gateway } from '../../test/interop/support/gateway-process.ts'
import { twoGateways } from '../../test/interop/support/two-gateways.ts'
import { limits } from '../../src/core/limits.ts'
import { freePort } from '../support/free-port.ts'
import { below, type Random, seeded } from '../support/seeded.ts'
import { ManagedProgram, type ProgramSettings, type Shown } from './managed-program.ts'
import { type Break, SeverableLink } from './severable-link.ts'

interface CutRun {
  /** Half of them each way. */
  readonly messages: number
  readonly cuts: number
  readonly seed: number
  readonly say?: (line: string) => void
}

export interface View {
  readonly name: string
  readonly lost: number
  readonly doubled: number
  readonly disordered: number
}

interface CutOutcome {
  /** Sums over all views. */
  readonly lost: number
  readonly doubled: number
  readonly disordered: number
  /** Streams that went on, and those that did not though their programs wanted it. */
  readonly resumed: number
  readonly refused: number
  /** Streams of programs that took their resource anew while the old stream seemed alive. */
  readonly begunAnew: number
  /** Messages of which a sender does not know that they are stored. */
  readonly unacknowledged: number
  /** Own messages that a program heard from its server as if another had said them. */
  readonly echoes: number
  /** Connections that the server still holds open though their programs have been back for long. */
  readonly ghosts: number
  readonly faults: readonly string[]
}

type ClientCut = { readonly how: Break; readonly stumble?: Break; readonly isForgetful?: boolean }
type LinkCut = 'link reset' | 'link mended' | 'link lost'
type Cut = ClientCut | LinkCut | 'killed'

/** All that can happen; a run goes round them in an order of its own. */
const kinds: readonly Cut[] = [
  { how: 'reset' },
  { how: 'silence' },
  { how: 'deaf' },
  { how: 'mute' },
  { how: 'silence', isForgetful: true },
  { how: 'reset', stumble: 'deaf' },
  { how: 'silence', stumble: 'silence' },
  { how: 'mute', stumble: 'reset' },
  'link reset',
  'link mended',
  'link lost',
  'killed',
]

/** Not acknowledged by one's gateway: then a sender waits. */
const waitingMax = 300
const paddingMax = 1_500
const linkSilenceMsMin = 500
const linkSilenceMsMax = 4_000
/** How long nothing may arrive before what is missing counts as lost, and how long is looked for doubles after the last. */
const silenceMsMax = 60_000
const doublesMs = 3_000

class Person implements AsyncDisposable {
  readonly gateway: Gateway
  readonly desk: ManagedProgram
  readonly phone: ManagedProgram
  readonly links: ReadonlyMap<ManagedProgram, SeverableLink>
  readonly #scope: AsyncDisposableStack

  private constructor(
    gateway: Gateway,
    scope: AsyncDisposableStack,
    programs: readonly { readonly program: ManagedProgram; readonly link: SeverableLink }[],
  ) {
    this.gateway = gateway
    this.#scope = scope
    this.links = new Map(programs.map(({ program, link }) => [program, link]))
    const [desk, phone] = programs.map(({ program }) => program)
    this.desk = desk!
    this.phone = phone!
  }

  static async at(gateway: Gateway, random: Random): Promise<Person> {
    await using scope = new AsyncDisposableStack()
    const programs: { readonly program: ManagedProgram; readonly link: SeverableLink }[] = []
    for (const resource of ['desk', 'phone']) {
      const returnWords = ['<resume ', '<bind ']
      const link = scope.use(await SeverableLink.open(gateway.listeners.xmpp.port, random, { returnWords }))
      const password = await gateway.addPassword(resource)
      const isInline = resource === 'phone'
      const settings = { dial: dialTo(link.port), user: gateway.name, password, resource, isInline }
      programs.push({ link, program: scope.use(await ManagedProgram.start(settings)) })
    }
    return new Person(gateway, scope.move(), programs)
  }

  get programs(): readonly ManagedProgram[] {
    return [this.desk, this.phone]
  }

  /** All that the account's archive holds, as a program that is new reads it. */
  async archive(): Promise<readonly Shown[]> {
    const { gateway } = this
    const password = await gateway.addPassword('reader')
    return await archiveOf({ dial: dialTo(gateway.listeners.xmpp.port), user: gateway.name, password })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]()
  }
}

/** Two gateways that know only the way through the links to each other. */
async function apart(
  random: Random,
): Promise<
  { readonly alice: Gateway; readonly bob: Gateway; readonly links: readonly SeverableLink[] } & AsyncDisposable
> {
  await using scope = new AsyncDisposableStack()
  const side = async (): Promise<{ readonly link: SeverableLink; readonly settings: readonly string[] }> => {
    const port = await freePort()
    // as many as are ever told, so that the listeners themselves are not
    const link = scope.use(await SeverableLink.open(port, random, { ports: limits.locatorsMax }))
    const announced = link.ports.map((at) => `/ip4/127.0.0.1/tcp/${at}`)
    return { link, settings: [`overlay.port=${port}`, `overlay.announce=${JSON.stringify(announced)}`] }
  }
  const [alices, bobs] = [await side(), await side()]
  const world = scope.use(await twoGateways([], { alice: alices.settings, bob: bobs.settings }))
  const owned = scope.move()
  const { alice, bob } = world
  return {
    alice,
    bob,
    links: [alices.link, bobs.link],
    [Symbol.asyncDispose]: async () => await owned[Symbol.asyncDispose](),
  }
}

export async function cutRun({ messages, cuts, seed, say = () => {} }: CutRun): Promise<CutOutcome> {
  const random = seeded(seed)
  await using world = await apart(random)
  await using alice = await Person.at(world.alice, random)
  await using bob = await Person.at(world.bob, random)
  const programs = [...alice.programs, ...bob.programs]
  const cutter = new Cutter({ random, links: world.links, people: [alice, bob], say })
  const each = Math.ceil(messages / 2)
  await Promise.all([
    // its messages have ids by which they are known when they come again …
    write(alice.desk, bob.gateway.address, each, random, async (number) => {
      await cutter.reached(number, each, cuts)
      return `id='alice-message-${number}'`
    }),
    // … and these have none that tells them apart: nothing but the count does
    write(bob.desk, alice.gateway.address, each, random, async (number) => `id='b${number}'`),
  ])
  await cutter.end()
  const shown = (): readonly View[] => [...views(alice, each), ...views(bob, each)]
  await untilQuiet(() => -sumOf(shown(), ({ lost }) => lost), 0)
  await until(() => programs.every(({ waiting }) => waiting === 0), silenceMsMax)
  await sleep(doublesMs)
  const all = [...shown(), ...(await archiveViews(alice, each)), ...(await archiveViews(bob, each))]
  for (const { name, lost, doubled, disordered } of all)
    if (lost + doubled + disordered > 0) say(`${name}: ${lost} lost, ${doubled} doubled, ${disordered} disordered`)
  const over = <T>(of: (program: ManagedProgram) => T): readonly T[] => programs.map(of)
  const total = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0)
  return {
    lost: sumOf(all, ({ lost }) => lost),
    doubled: sumOf(all, ({ doubled }) => doubled),
    disordered: sumOf(all, ({ disordered }) => disordered),
    resumed: total(over(({ resumed }) => resumed)),
    refused: total(over(({ refused }) => refused)),
    begunAnew: total(over(({ begun }) => begun - 1)),
    unacknowledged: total(over(({ waiting }) => waiting)),
    echoes: total(over(({ echoes }) => echoes.length)),
    ghosts: total([alice, bob].flatMap(({ links }) => [...links.values()].map(({ ghosts }) => ghosts))),
    faults: over(({ faults }) => faults).flat(),
  }
}

export async function write(
  program: ManagedProgram,
  to: string,
  count: number,
  random: Random,
  idOf: (number: number) => Promise<string>,
): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    const id = await idOf(number)
    while (program.waiting > waitingMax) await sleep(5)
    const body = `${program.resource} ${number} `.padEnd(below(random, paddingMax), 'm')
    program.say(`<message to='${to}' type='chat' ${id}><body>${body}</body></message>`)
    if (number % 10 === 0) await sleep(4)
  }
}

/** Cuts one thing after the other, and the next only once what was cut is back. */
class Cutter {
  readonly #random: Random
  readonly #links: readonly SeverableLink[]
  readonly #people: readonly Person[]
  readonly #order: readonly Cut[]
  readonly #under = new Map<unknown, Promise<unknown>>()
  readonly #say: (line: string) => void
  #made = 0

  constructor({
    random,
    links,
    people,
    say,
  }: {
    readonly random: Random
    readonly links: readonly SeverableLink[]
    readonly people: readonly Person[]
    readonly say: (line: string) => void
  }) {
    this.#random = random
    this.#links = links
    this.#people = people
    this.#say = say
    this.#order = kinds
      .map((kind) => ({ kind, at: random() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ kind }) => kind)
  }

  /** It has come to this message of so many. */
  async reached(number: number, of: number, cuts: number): Promise<void> {
    while (this.#made < Math.floor(((number + 1) * (cuts + 1)) / of) && this.#made < cuts) {
      const kind = this.#order[this.#made % this.#order.length]!
      this.#made += 1
      if (kind === 'killed') await this.#kill()
      else await (typeof kind === 'string' ? this.#cutLinks(kind) : this.#cutProgram(kind))
    }
  }

  async #cutLinks(kind: LinkCut): Promise<void> {
    await this.#under.get('links')
    this.#say(`cut ${this.#made}: ${kind}`)
    const ms = linkSilenceMsMin + below(this.#random, linkSilenceMsMax - linkSilenceMsMin)
    if (kind === 'link reset') for (const link of this.#links) link.break('reset')
    else {
      const after = kind === 'link mended' ? 'mended' : 'reset'
      const silent = Promise.all(this.#links.map(async (link) => await link.silence(ms, after)))
      this.#under.set('links', silent)
    }
  }

  /** kill -9, whatever else is cut just then. */
  async #kill(): Promise<void> {
    const person = this.#people[below(this.#random, this.#people.length)]!
    await Promise.all([person, ...person.programs].map(async (one) => await this.#under.get(one)))
    this.#say(`cut ${this.#made}: ${person.gateway.name} killed`)
    for (const program of person.programs) program.expectLoss()
    this.#under.set(
      person,
      person.gateway.kill().then(async () => await person.gateway.start()),
    )
    for (const program of person.programs) this.#under.set(program, program.nextReturn())
  }

  async #cutProgram({ how, stumble, isForgetful = false }: ClientCut): Promise<void> {
    const person = this.#people[below(this.#random, this.#people.length)]!
    // whoever forgets its stream needs ids that tell what it says again
    const isPhone = this.#random() < 0.4 || (isForgetful && person !== this.#people[0])
    const program = isPhone ? person.phone : person.desk
    await this.#under.get(program)
    const name = `${person.gateway.name}/${program.resource}`
    this.#say(
      `cut ${this.#made}: ${name} ${how}${isForgetful ? ', forgets' : ''}${stumble === undefined ? '' : `, then ${stumble}`}`,
    )
    program.expectLoss()
    if (isForgetful) program.forget()
    person.links.get(program)!.break(how, stumble)
    this.#under.set(program, program.nextReturn())
  }

  async end(): Promise<void> {
    await Promise.all(this.#under.values())
  }
}

/** All that an archive holds, as a program that is new reads it. */
export async function archiveOf(
  account: Pick<ProgramSettings, 'dial' | 'user' | 'password'>,
): Promise<readonly Shown[]> {
  await using reader = await ManagedProgram.start({ ...account, resource: 'reader', isInline: false })
  await until(() => reader.isUpToDate, silenceMsMax)
  return [...reader.shown]
}

const dialTo = (port: number) => (): Socket => connect({ port, host: '127.0.0.1', noDelay: true })

/** Of one direction, from its beginning to `count`. */
export function view(name: string, shown: readonly Shown[], count: number): View {
  const numbers = shown.map(numberOf)
  return {
    name,
    lost: count - new Set(numbers).size,
    doubled: numbers.length - new Set(numbers).size,
    disordered: numbers.filter((number, index) => index > 0 && number < numbers[index - 1]!).length,
  }
}

/** What the programs of one person have shown; what one has said itself is shown by the other. */
function views({ gateway, desk, phone }: Person, count: number): readonly View[] {
  const of = ({ shown }: ManagedProgram, own: boolean): readonly Shown[] => shown.filter(({ isOwn }) => isOwn === own)
  return [
    view(`${gateway.name}/desk`, of(desk, false), count),
    view(`${gateway.name}/phone`, of(phone, false), count),
    view(`${gateway.name}/phone, copies`, of(phone, true), count),
  ]
}

export const sumOf = (all: readonly View[], of: (one: View) => number): number =>
  all.reduce((sum, one) => sum + of(one), 0)

async function archiveViews(person: Person, count: number): Promise<readonly View[]> {
  const archive = await person.archive()
  const name = `archive of ${person.gateway.name}`
  return [true, false].map((own) =>
    view(
      `${name}, ${own ? 'own' : 'others'}`,
      archive.filter(({ isOwn }) => isOwn === own),
      count,
    ),
  )
}

/** The number that a message begins with, after the name of the program that said it. */
const numberOf = ({ text }: Shown): number => Number(text.split(' ')[1])

export async function until(isSo: () => boolean, msMax: number): Promise<void> {
  const deadline = performance.now() + msMax
  while (!isSo() && performance.now() < deadline) await sleep(50)
}

/** Until the count has reached `wanted`, or has not risen for a long time. */
export async function untilQuiet(count: () => number, wanted: number): Promise<void> {
  let [last, since] = [count(), performance.now()]
  while (last < wanted && performance.now() - since < silenceMsMax) {
    await sleep(100)
    if (count() > last) [last, since] = [count(), performance.now()]
  }
}

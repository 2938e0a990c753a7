/**
 * Five gateways as processes, one group: members write, edit, react, are added and removed while three of them go off at
 * random, cleanly or killed. At the end everybody who is a member must show the same, and nobody what was said without them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { connectControl } from '../../src/cli/client.ts'
import type { OperationContext, Params, Results, Verb } from '../../src/core/control.ts'
import type { ChatMessageView, GroupView } from '../../src/core/control-views.ts'
import { hasCode } from '../../src/core/errors.ts'
import { homePaths } from '../../src/home.ts'
import { Gateway } from '../../test/interop/support/gateway-process.ts'
import { below, type Random, seeded } from '../support/seeded.ts'

export interface MembersPlan {
  readonly messages: number
  readonly edits: number
  readonly reactions: number
  readonly changes: number
  readonly seed: number
  readonly settleMs: number
  readonly say: (line: string) => void
}

export interface MembersResult {
  readonly messages: number
  readonly changes: number
  readonly outages: number
  /** Members whose view differs from that of most. */
  readonly diverged: number
  /** Messages that somebody shows who was no member when they were written. */
  readonly leaked: number
  readonly convergedMs: number
}

const names = ['ann', 'ben', 'cleo', 'dov', 'eva'] as const
/** Those that are never switched off; the first one founds the group. */
const steady = 2
/** Who is removed and taken in again: it lacks what was said, edited and reacted without it. */
const guest = names.length - 1

class Person implements AsyncDisposable {
  readonly gateway: Gateway
  readonly #socket: string
  isOn = true

  private constructor(gateway: Gateway, socket: string) {
    this.gateway = gateway
    this.#socket = socket
  }

  static async create(name: string): Promise<Person> {
    const gateway = await Gateway.create(name)
    await gateway.start()
    const { home } = await gateway.verb<{ home: string }>('status')
    return new Person(gateway, homePaths(home).controlSocket)
  }

  async ask<V extends Verb>(verb: V, params: Params<V>): Promise<Results[V]> {
    const client = await connectControl(this.#socket)
    if (client === undefined) throw new Error(`${this.gateway.name} does not answer`)
    await using connected = client
    const context: OperationContext = { signal: AbortSignal.timeout(60_000), progress: () => {} }
    const operation = connected.operations[verb] as (
      params: Params<V>,
      context: OperationContext,
    ) => Promise<Results[V]>
    return await operation(params, context)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]()
  }
}

/** A message and who may have been a member when it was written, as far as its author knew: just before, or just after. */
interface Written {
  readonly id: string
  readonly members: ReadonlySet<string>
}

export async function runMembers({ seed, say, ...plan }: MembersPlan): Promise<MembersResult> {
  const random = seeded(seed)
  await using scope = new AsyncDisposableStack()
  const people = await Promise.all(names.map(async (name) => scope.use(await Person.create(name))))
  await introduceAll(people)
  const [founder] = people as [Person, ...Person[]]
  const group = await founder.ask('groupCreate', {
    account: undefined,
    name: 'the group',
    members: people.slice(1).map(({ gateway }) => gateway.address),
  })
  for (const person of people) await until(async () => (await groupOf(person, group.group))?.state === 'joined')
  const run = new Run({ people, group: group.group, random, say })
  await run.play(plan)
  const startedAt = performance.now()
  await run.everybodyOn()
  const found = await run.converge(plan.settleMs)
  return { ...found, convergedMs: Math.round(performance.now() - startedAt) }
}

async function introduceAll(people: readonly Person[]): Promise<void> {
  for (const [index, inviter] of people.entries())
    for (const other of people.slice(index + 1)) {
      const { link } = await inviter.ask('inviteCreate', { account: undefined, expiresMs: 3_600_000 })
      await other.ask('inviteAccept', { account: undefined, link })
    }
}

async function groupOf(person: Person, group: string): Promise<GroupView | undefined> {
  return (await person.ask('groupList', { account: undefined })).find((one) => one.group === group)
}

async function until(holds: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  for (const end = performance.now() + withinMs; !(await holds()); await sleep(100))
    if (performance.now() > end) throw new Error('it did not come to be')
}

class Run {
  readonly #people: readonly Person[]
  readonly #group: string
  readonly #random: Random
  readonly #print: (line: string) => void
  readonly #written: Written[] = []
  #changes = 0
  #differences: readonly string[] = []
  #outages = 0

  constructor(parts: {
    readonly people: readonly Person[]
    readonly group: string
    readonly random: Random
    readonly say: (line: string) => void
  }) {
    this.#people = parts.people
    this.#group = parts.group
    this.#random = parts.random
    this.#print = parts.say
  }

  async play({ messages, edits, reactions, changes }: Omit<MembersPlan, 'seed' | 'say' | 'settleMs'>): Promise<void> {
    const steps = [
      ...Array.from({ length: messages }, () => 'write' as const),
      ...Array.from({ length: edits }, () => 'edit' as const),
      ...Array.from({ length: reactions }, () => 'react' as const),
      ...Array.from({ length: changes }, () => 'change' as const),
      ...Array.from({ length: Math.ceil(messages / 50) }, () => 'outage' as const),
    ]
    for (let done = 0; steps.length > 0; done += 1) {
      const [step] = steps.splice(below(this.#random, steps.length), 1)
      if (done % 100 === 0) this.#print(`${done} steps done, ${steps.length} left`)
      await this.#step(step!)
    }
  }

  async #step(step: 'write' | 'edit' | 'react' | 'change' | 'outage'): Promise<void> {
    if (step === 'outage') return await this.#outage()
    if (step === 'change') return await this.#change()
    const writers = await this.#membersOn()
    const who = writers[below(this.#random, writers.length)]!
    try {
      await this.#speak(step, who)
    } catch (error) {
      // it hears just now that it was removed
      if (!hasCode(error, 'not-a-member')) throw error
    }
  }

  async #speak(step: 'write' | 'edit' | 'react', who: Person): Promise<void> {
    if (step === 'write') return await this.#write(who)
    const shown = await who.ask('chatShow', { account: undefined, with: this.#group, limit: 50, before: undefined })
    const choice = shown.filter(({ author, deleted }) => !deleted && (step === 'react' || author.own))
    const target = choice[below(this.#random, choice.length)]
    if (target === undefined) return await this.#write(who)
    const { id } = target
    if (step === 'edit')
      await who.ask('chatEdit', { account: undefined, message: id, text: `edited ${this.#random()}` })
    else await who.ask('chatReact', { account: undefined, message: id, reactions: ['+1'] })
  }

  async #write(who: Person): Promise<void> {
    const text = `message ${this.#written.length} of ${who.gateway.name}`
    const before = await this.#membersFor(who)
    const { id } = await who.ask('chatSend', { account: undefined, to: this.#group, text, replyTo: undefined })
    const after = await this.#membersFor(who)
    this.#written.push({ id, members: new Set([...before, ...after]) })
  }

  async #membersFor(who: Person): Promise<readonly string[]> {
    const view = await groupOf(who, this.#group)
    return view?.members.map(({ identity }) => identity) ?? []
  }

  /** One of those that are not steady goes off, or comes back. */
  async #outage(): Promise<void> {
    const person = this.#people[steady + below(this.#random, this.#people.length - steady)]!
    if (!person.isOn) await person.gateway.start()
    else if (this.#random() < 0.5) await person.gateway.kill()
    else await person.gateway.stop()
    person.isOn = !person.isOn
    this.#outages += 1
  }

  /** The founder removes one, or takes one in again. */
  async #change(): Promise<void> {
    const [founder, ...others] = this.#people as [Person, ...Person[]]
    const view = (await groupOf(founder, this.#group))!
    const inside = new Set(view.members.map(({ name }) => name))
    const outside = others.filter(({ gateway }) => !inside.has(gateway.name))
    const params = { account: undefined, group: this.#group }
    if (outside.length > 0) await founder.ask('groupInvite', { ...params, members: [outside[0]!.gateway.address] })
    else {
      await founder.ask('groupRemove', { ...params, member: this.#people[guest]!.gateway.address })
    }
    this.#changes += 1
  }

  async #membersOn(): Promise<readonly Person[]> {
    const states = await Promise.all(
      this.#people.map(async (person) => person.isOn && (await groupOf(person, this.#group))?.state === 'joined'),
    )
    return this.#people.filter((_, index) => states[index])
  }

  async everybodyOn(): Promise<void> {
    for (const person of this.#people) {
      if (person.isOn) continue
      await person.gateway.start()
      person.isOn = true
    }
  }

  /** Waits until all members show the same, or the time is over; then counts what differs. */
  async converge(withinMs: number): Promise<Omit<MembersResult, 'convergedMs'>> {
    const end = performance.now() + withinMs
    let diverged = this.#people.length
    while (diverged > 0 && performance.now() < end) {
      await sleep(500)
      diverged = await this.#diverged()
    }
    for (const difference of this.#differences) this.#print(difference)
    return {
      messages: this.#written.length,
      changes: this.#changes,
      outages: this.#outages,
      diverged,
      leaked: await this.#leaked(),
    }
  }

  /** How many members show something else than the founder, who was always there; and messages that the founder lacks. */
  async #diverged(): Promise<number> {
    const members = await this.#membersOn()
    const [reference, ...others] = await Promise.all(members.map(async (person) => await this.#shown(person)))
    const untaken = await this.#untaken()
    const lacking = this.#written.filter(
      ({ id }) => !untaken.has(id) && !reference!.some((message) => message.id === id),
    )
    const differing = others.flatMap((shown, index) => {
      const isGuest = members[index + 1] === this.#people[guest]
      const taken = shown.filter(({ id }) => !untaken.has(id))
      const problem = differenceOf(taken, reference!, isGuest)
      return problem === undefined ? [] : [`${members[index + 1]!.gateway.name}: ${problem}`]
    })
    this.#differences = [...differing, ...lacking.map(({ id }) => `the founder lacks ${id.slice(0, 8)}`)]
    return this.#differences.length
  }

  /** What the guest wrote when it had been removed and did not know yet: it says so itself. */
  async #untaken(): Promise<ReadonlySet<string>> {
    const shown = await this.#shown(this.#people[guest]!).catch((error: unknown) => {
      if (hasCode(error, 'no-such-contact')) return []
      throw error
    })
    return new Set(shown.filter(({ state }) => state === 'failed').map(({ id }) => id))
  }

  async #shown(person: Person): Promise<readonly ChatMessageView[]> {
    const all: ChatMessageView[] = []
    for (let before: string | undefined; ;) {
      const page = await person.ask('chatShow', { account: undefined, with: this.#group, limit: 500, before })
      all.unshift(...page)
      if (page.length < 500) return all
      before = page[0]!.id
    }
  }

  async #leaked(): Promise<number> {
    let leaked = 0
    const written = new Map(this.#written.map((one) => [one.id, one]))
    for (const person of this.#people) {
      const { identity } = (await person.ask('accountShow', { account: undefined })) as { identity: string }
      const shown = await this.#shown(person).catch((error: unknown) => {
        if (hasCode(error, 'no-such-contact')) return []
        throw error
      })
      leaked += shown.filter(({ id }) => written.get(id)?.members.has(identity) === false).length
    }
    return leaked
  }
}

/** Whoever was out for a while lacks what was said then, and about what; all else must be the same, in the same order. */
function differenceOf(
  shown: readonly ChatMessageView[],
  reference: readonly ChatMessageView[],
  wasOut: boolean,
): string | undefined {
  if (!wasOut && shown.length !== reference.length) return `shows ${shown.length} messages, not ${reference.length}`
  const places = new Map(reference.map((message, place) => [message.id, { place, text: asText(message) }]))
  let last = -1
  for (const message of shown) {
    const known = places.get(message.id)
    if (known === undefined) return `${message.id.slice(0, 8)} is nowhere else`
    if (!wasOut && known.text !== asText(message))
      return `${message.id.slice(0, 8)} is ${asText(message)}, not ${known.text}`
    if (known.place <= last) return `${message.id.slice(0, 8)} is in another place`
    last = known.place
  }
  return shown.at(-1)?.id === reference.at(-1)?.id ? undefined : `ends with ${shown.at(-1)?.id.slice(0, 8)}`
}

const asText = ({ text, deleted, reactions, editedAtMs }: ChatMessageView): string =>
  JSON.stringify([
    text,
    deleted,
    editedAtMs,
    reactions.map(({ who, reactions: given }) => [who.identity, ...given].join(' ')).toSorted(),
  ])

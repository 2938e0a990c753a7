/**
 * One gateway of the chaos run across its lives: the real node over a home on disk and the memory network, with a
 * clock that may be wrong and links that may be bad.
 *
 * A kill takes effect between two turns of the event loop: from then on nothing of that life is committed, heard or
 * sent (mortal-store.ts, the network's own `kill`); what is left of it is cleared away afterwards, out of everybody's sight.
 */
import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Ambient, type Log, type Random as RandomBytes, silentLog } from '../../../src/core/ambient.ts'
import { Secret } from '../../../src/core/crypto/secret.ts'
import type { GatewayAddress, Locator, Overlay } from '../../../src/core/delivery/ports.ts'
import type { Address, GatewayId, Identity, Uid } from '../../../src/core/ids.ts'
import { parseInvitation } from '../../../src/core/identity/invitation.ts'
import { type Knowledge, type Node, openKnowledge, openNode } from '../../../src/node.ts'
import { createAccount } from '../../../src/operations/accounts.ts'
import type { JoinOptions, MemoryNetwork } from '../../../src/overlay/memory-overlay.ts'
import { type Faults, unreliable } from '../../../test/support/unreliable-overlay.ts'
import type { ChaosLedger } from './chaos-ledger.ts'
import { composeMail, numberOf } from './chaos-mail.ts'
import { type Life, openMortalStore } from './mortal-store.ts'
import { type RelayFaults, unreliableRelays } from './unreliable-relays.ts'
import type { Random } from '../seeded.ts'
import { seededBytes } from './seeded-bytes.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface ChaosGatewayOptions {
  readonly index: number
  readonly name: string
  readonly folder: string
  readonly network: MemoryNetwork
  readonly time: VirtualTime
  readonly ledger: ChaosLedger
  readonly seed: number
  readonly random: Random
  /** It holds entries for others, for work where it says so. */
  readonly relay?: { readonly asksWork: boolean }
  /** Relays of its configuration. */
  readonly relays?: () => readonly GatewayAddress[]
  /** What relays do to what they hand out, by their gateway. */
  readonly relayFaults?: ReadonlyMap<GatewayId, RelayFaults>
  readonly log?: Log
}

const relayBytesMax = 2 * 1024 * 1024 * 1024

interface Running {
  readonly life: Life
  readonly knowledge: Knowledge
  readonly node: Node
}

/**
 * Before the whole run: the files that gateways write carry the real time of their writing, and a file that looks old while
 * it is young would be swept.
 */
const beginningMs = Date.now() - 40 * 24 * 3600_000

export class ChaosGateway {
  readonly index: number
  readonly name: string
  /** Changed while it runs: what happens to what it sends. */
  readonly link: { -readonly [Field in keyof Faults]: Faults[Field] }
  /** How wrong its clock is. */
  skewMs = 0
  account: Identity | undefined
  address: Address | undefined
  readonly #options: ChaosGatewayOptions
  readonly #bytes: RandomBytes
  #running: Running | undefined
  #isWanted = false
  /** Beginnings and ends, one after the other. */
  #changing: Promise<void> = Promise.resolve()
  #reading = 0
  /** Batches of relays that are being taken now. */
  #emptying = 0

  constructor(options: ChaosGatewayOptions) {
    this.#options = options
    this.index = options.index
    this.name = options.name
    this.#bytes = seededBytes(`${options.seed}/${options.name}`)
    this.link = { loss: 0, doubles: 0, swaps: 0, random: options.random }
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }
  /** Nothing is being opened, closed or read. */
  get isSettled(): boolean {
    return this.#isWanted === this.isRunning && this.#reading === 0
  }
  get queued(): number {
    return this.#running?.node.delivery.queued() ?? 0
  }
  get whereItIs(): GatewayAddress {
    const { overlay } = this.running.node
    return { gateway: overlay.self, locators: overlay.locators() }
  }
  get locators(): readonly Locator[] {
    return this.#running?.node.overlay.locators() ?? []
  }
  get running(): Running {
    if (this.#running === undefined) throw new Error(`${this.name} does not run`)
    return this.#running
  }

  start(): Promise<void> {
    this.#isWanted = true
    return this.#then(async () => {
      if (this.#running === undefined && this.#isWanted) this.#running = await this.#open()
    })
  }

  /** A clean end. */
  stop(): Promise<void> {
    this.#isWanted = false
    return this.#then(async () => {
      const running = this.#running
      if (running === undefined || this.#isWanted) return
      this.#running = undefined
      await close(running)
      running.life.isOver = true
    })
  }

  /** Dead on return; the promise is that of the clearing away. */
  kill(): Promise<void> {
    this.#isWanted = false
    const running = this.#running
    if (running === undefined) return this.stop()
    this.#running = undefined
    running.life.isOver = true
    this.#options.network.kill(this.name)
    return this.#then(async () => await close(running).catch(() => {}))
  }

  /** Killed, and its disk is lost: what it is from now on, it is anew. */
  async lose(): Promise<void> {
    const killed = this.kill()
    const home = join(this.#options.folder, this.name)
    await Promise.all([killed, this.#then(async () => await rm(home, { recursive: true, force: true }))])
  }

  /** This one accepts an invitation of the other. */
  async meet(other: ChaosGateway): Promise<void> {
    const { knowledge } = other.running
    const { link } = await knowledge.invitations.create(knowledge.accounts.get(other.account!), other.whereItIs)
    const own = this.running.knowledge
    await own.store.write((tx) => own.contacts.using(tx).addPending(this.account!, parseInvitation(link)))
  }

  knows(other: ChaosGateway): boolean {
    const { contacts } = this.running.knowledge
    return contacts.byIdentity(this.account!, other.account!)?.state === 'active'
  }

  /** Promises it to the ledger once the gateway has; says nothing of one that it was killed over. */
  async submit(number: number, to: readonly ChaosGateway[]): Promise<void> {
    const { ledger, time } = this.#options
    const { life, node } = this.running
    const addresses = to.map(({ address }) => address!)
    ledger.begin(number, { from: this.index, to: to.map(({ index }) => index), atMs: time.nowMs })
    try {
      await node.delivery.submitter.submit(this.account!, {
        from: this.address!,
        recipients: addresses.map((address) => ({ address })),
        body: composeMail(number, this.address!, addresses),
      })
    } catch (error) {
      if (!life.isOver) throw error
      return
    }
    if (!life.isOver) ledger.promise(number)
  }

  /** Everything in the inbox now, beside what was seen come in. @returns what is in no folder where it should be */
  async inspect(): Promise<readonly string[]> {
    const { knowledge } = this.running
    const inbox = knowledge.mailboxes.byName(this.account!, 'INBOX')!
    const columns = knowledge.mailboxes.columns(this.account!, inbox.id)
    const uids = [...columns.uids()] as Uid[]
    this.#options.ledger.compare(this.index, new Set(uids.map((uid) => `${inbox.uidValidity}/${uid}`)))
    await this.#show(this.running, uids)
    return knowledge.mailboxes
      .list(this.account!)
      .filter(({ name, specialUse, messages }) => name !== 'INBOX' && specialUse !== '\\Sent' && messages > 0)
      .map(({ name, messages }) => `${this.name} has ${messages} in ${name}`)
  }

  #then(change: () => Promise<void>): Promise<void> {
    const done = this.#changing.then(change)
    this.#changing = done.catch(() => {})
    return done
  }

  async #open(): Promise<Running> {
    const { folder, name, network, time, log = silentLog } = this.#options
    const life: Life = { isOver: false }
    const bootedAtMs = time.nowMs
    const ambient: Ambient = {
      clock: {
        nowMs: () => beginningMs + time.nowMs + this.skewMs,
        monotonicMs: () => time.nowMs - bootedAtMs,
      },
      random: this.#bytes,
      log,
    }
    const home = join(folder, name)
    mkdirSync(home, { recursive: true })
    const paths = { store: join(home, 'store'), blobs: join(home, 'blobs') }
    const knowledge = await openKnowledge(
      {
        paths,
        key: new Secret(Buffer.alloc(32, name)),
        indexes: false,
        openStore: async (options, storeAmbient) => await openMortalStore(life, options, storeAmbient),
      },
      ambient,
    )
    if (knowledge.accounts.list().length === 0)
      await createAccount(knowledge, ambient, { localName: name, address: undefined, displayName: undefined })
    const { identity, address } = knowledge.accounts.list()[0]!
    this.account = identity
    this.address = address
    const overlay = this.#wrap(await network.join(name, this.#joinOptions(knowledge)))
    const relays = this.#options.relays?.() ?? []
    const node = await openNode(knowledge, overlay, ambient, { relays: { relays, isHidden: false } })
    const running = { life, knowledge, node }
    this.#follow(running)
    return running
  }

  #wrap(overlay: Overlay): Overlay {
    const { relayFaults = new Map<GatewayId, RelayFaults>(), time, random } = this.#options
    const onEntries = async <T>(taken: Promise<T>): Promise<T> => {
      this.#emptying += 1
      return await taken.finally(() => {
        this.#emptying -= 1
      })
    }
    const relays = unreliableRelays(overlay.relays!, { faults: relayFaults, time, random, onEntries })
    return { ...unreliable(overlay, this.link), relays }
  }

  #joinOptions({ store }: Knowledge): JoinOptions {
    const { relay } = this.#options
    if (relay === undefined) return {}
    return { relay: { store, bytesMax: relayBytesMax, isKnown: () => !relay.asksWork } }
  }

  #follow(running: Running): void {
    const { mailboxes } = running.knowledge
    const account = this.account!
    const inbox = mailboxes.byName(account, 'INBOX')!
    const show = (uids: readonly Uid[]): void => {
      this.#reading += 1
      void this.#show(running, uids).finally(() => {
        this.#reading -= 1
      })
    }
    mailboxes.watch(account, ({ event }) => {
      if (event.kind === 'appended' && event.mailbox === inbox.id) show(event.uids)
    })
    show([...mailboxes.columns(account, inbox.id).uids()] as Uid[])
  }

  async #show({ life, knowledge: { mailboxes } }: Running, uids: readonly Uid[]): Promise<void> {
    const { ledger, time } = this.#options
    const account = this.account!
    const inbox = mailboxes.byName(account, 'INBOX')!
    const columns = mailboxes.columns(account, inbox.id)
    const isByRelay = this.#emptying > 0
    for (const uid of uids) {
      const place = `${inbox.uidValidity}/${uid}`
      if (ledger.knows(this.index, place)) continue
      const nowMs = time.nowMs
      const content = columns.contentAt(columns.indexOf(uid))
      try {
        const bytes = mailboxes.readInline(account, content) ?? (await gathered(mailboxes.read(account, content)))
        ledger.show(this.index, place, numberOf(bytes), { nowMs, isByRelay })
      } catch (error) {
        if (life.isOver) return // it is looked for again when it runs again
        throw error
      }
    }
  }
}

async function close({ node, knowledge }: Running): Promise<void> {
  try {
    await node[Symbol.asyncDispose]()
  } finally {
    await knowledge[Symbol.asyncDispose]()
  }
}

async function gathered(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const piece of pieces) parts.push(piece)
  return Buffer.concat(parts)
}

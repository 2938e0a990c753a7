/**
 * Subscriptions between accounts of one gateway (RFC 6121 §3): at first everybody sees everybody; each may end that, ask
 * again and be granted it, one side at a time. What one side has agreed on is kept for both at once, so they never differ.
 */
import { fromUtf8 } from '../../../core/bytes.ts'
import { bool, type Codec, hexId, record, text } from '../../../core/codec.ts'
import { unreachable } from '../../../core/errors.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import { type Element, el, serialise } from '../element.ts'
import type { Server } from '../feature.ts'
import { bareOf } from '../jid.ts'
import { Kept } from '../kept.ts'
import { parseFragment } from '../messages/extension.ts'

/** Of one account with another, as RFC 6121 §A names the states. */
export interface Terms {
  /** In the roster. */
  readonly isListed: boolean
  /** `to`: it is subscribed to the other. */
  readonly sees: boolean
  /** `from`. */
  readonly isSeen: boolean
  /** Pending out. */
  readonly asks: boolean
  /** Pending in. */
  readonly isAsked: boolean
  /** It has said so itself: the other sees its programs, whatever it tells people in general. */
  readonly isGranted: boolean
}

const none: Terms = {
  isListed: false,
  sees: false,
  isSeen: false,
  asks: false,
  isAsked: false,
  isGranted: false,
}
const atFirst: Terms = { ...none, isListed: true, sees: true, isSeen: true }

export const subscriptionTypes = ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed'] as const
export type SubscriptionType = (typeof subscriptionTypes)[number]

interface Both {
  readonly mine: Terms
  readonly theirs: Terms
}

/** What a step of one side makes of both. @returns undefined where it changes nothing, and is not passed on (RFC 6121 §A) */
function agree(type: SubscriptionType, { mine, theirs }: Both): Both | undefined {
  const before = { mine, theirs }
  switch (type) {
    case 'subscribe':
      return mine.sees ? undefined : change(before, { isListed: true, asks: true }, { isAsked: true })
    case 'subscribed': {
      const granted = { isListed: true, isSeen: true, isAsked: false, isGranted: true }
      return mine.isAsked ? change(before, granted, { isListed: true, sees: true, asks: false }) : undefined
    }
    case 'unsubscribe': {
      const ended = { isSeen: false, isAsked: false, isGranted: false }
      return mine.sees || mine.asks ? change(before, { sees: false, asks: false }, ended) : undefined
    }
    case 'unsubscribed': {
      const ended = { isSeen: false, isAsked: false, isGranted: false }
      return mine.isSeen || mine.isAsked ? change(before, ended, { sees: false, asks: false }) : undefined
    }
    default:
      return unreachable(type)
  }
}

const change = ({ mine, theirs }: Both, changed: Partial<Terms>, changedToo: Partial<Terms>): Both => ({
  mine: { ...mine, ...changed },
  theirs: { ...theirs, ...changedToo },
})

interface Row extends Terms {
  readonly identity: Identity
  /** What came with the request that waits, as text (RFC 6121 §3.1.3). */
  readonly request: string
}
const codec: Codec<Row> = record<Row>({
  identity: hexId<Identity>(32),
  isListed: bool,
  sees: bool,
  isSeen: bool,
  asks: bool,
  isAsked: bool,
  isGranted: bool,
  request: text(limits.xmppRequestOctetsMax),
})
/** Somebody who asks, and what came with that. */
interface Asking {
  readonly identity: Identity
  readonly beside: readonly Element[]
}

/** Nothing where it is too long: who asks is told all the same. */
function textOfAll(beside: readonly Element[]): string {
  const text = beside.map((one) => serialise(one, '')).join('')
  return fromUtf8(text).length > limits.xmppRequestOctetsMax ? '' : text
}

const kept = new Kept<Row>('terms', codec)

const termsIn = (tx: ReadTx, account: Identity, other: Identity): Terms => kept.get(tx, account, other) ?? atFirst

/** Something has changed between two accounts: told for both, in turn. */
type Watcher = (account: Identity, other: Identity) => void
/** What one side does. */
interface Step {
  readonly type: SubscriptionType
  readonly beside?: readonly Element[]
  readonly passed: (type: SubscriptionType) => void
}

export class Neighbours {
  readonly #store: Pick<Store, 'read'>
  readonly #watchers = new Set<Watcher>()
  /** By account and the other, where it is not as at first: every presence asks for it. */
  readonly #known = new Map<Identity, ReadonlyMap<Identity, Row>>()

  constructor(store: Pick<Store, 'read'>) {
    this.#store = store
  }

  of(account: Identity, other: Identity): Terms {
    return this.#rowsOf(account).get(other) ?? atFirst
  }

  /** Requests that wait for this account. */
  asking(account: Identity): readonly Asking[] {
    return [...this.#rowsOf(account).values()].flatMap(({ identity, isAsked, request }) =>
      isAsked ? [{ identity, beside: parseFragment(request) }] : [],
    )
  }

  #rowsOf(account: Identity): ReadonlyMap<Identity, Row> {
    const before = this.#known.get(account)
    if (before !== undefined) return before
    const rows = this.#store.read((tx) => new Map(kept.list(tx, account).map((row) => [row.identity, row])))
    this.#known.set(account, rows)
    return rows
  }

  /** @param beside what the presence holds. @param passed first, once it is kept. @returns whether it changed anything */
  step(tx: WriteTx, account: Identity, other: Identity, { type, beside = [], passed }: Step): boolean {
    const after = agree(type, { mine: termsIn(tx, account, other), theirs: termsIn(tx, other, account) })
    if (after === undefined) return false
    tx.afterCommit(() => passed(type))
    this.#put(tx, account, other, after, type === 'subscribe' ? textOfAll(beside) : '')
    return true
  }

  /** Out of the roster, and with it all subscriptions (RFC 6121 §2.5.2). */
  remove(tx: WriteTx, account: Identity, other: Identity, passed: Step['passed']): void {
    for (const type of ['unsubscribe', 'unsubscribed'] as const) this.step(tx, account, other, { type, passed })
    this.#put(tx, account, other, { mine: none, theirs: termsIn(tx, other, account) })
  }

  list(tx: WriteTx, account: Identity, other: Identity): void {
    const mine = termsIn(tx, account, other)
    if (!mine.isListed)
      this.#put(tx, account, other, { mine: { ...mine, isListed: true }, theirs: termsIn(tx, other, account) })
  }

  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #put(tx: WriteTx, account: Identity, other: Identity, { mine, theirs }: Both, request?: string): void {
    const requestOf = (whose: Identity, from: Identity): string => kept.get(tx, whose, from)?.request ?? ''
    kept.put(tx, account, [other], { identity: other, ...mine, request: requestOf(account, other) })
    kept.put(tx, other, [account], { identity: account, ...theirs, request: request ?? requestOf(other, account) })
    tx.afterCommit(() => {
      for (const one of [account, other]) this.#known.delete(one)
      for (const watcher of this.#watchers) {
        watcher(other, account)
        watcher(account, other)
      }
    })
  }
}

/** Whether an account shows its programs, and what its person does, to another one of this gateway. */
export function isOpenTo(server: Server, owner: Identity, other: Identity): boolean {
  const { isSeen, isGranted } = neighboursOf(server).of(owner, other)
  return isSeen && (isGranted || server.services.conversations.settings(owner).tellsPresence)
}

/** The other's programs hear of it: of a request those that are there, of the rest those that know the roster. */
export function passStep(
  { hub, names }: Server,
  account: Identity,
  other: Identity,
  type: SubscriptionType,
  beside: readonly Element[] = [],
): void {
  const attrs = { type, from: bareOf(names.own(account)), to: bareOf(names.own(other)) }
  for (const client of hub.of(other))
    if (type === 'subscribe' ? client.state.presence !== undefined : client.state.wantsRoster)
      client.send(el('presence', attrs, beside))
}

const known = new WeakMap<Server['hub'], Neighbours>()

/** One for each server. */
export function neighboursOf({ hub, services }: Server): Neighbours {
  const made = known.get(hub) ?? new Neighbours(services.store)
  known.set(hub, made)
  return made
}

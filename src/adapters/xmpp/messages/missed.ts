/**
 * What came while no program of an account was there, or did not arrive at the last one. A program that reads the archive
 * (XEP-0313) finds it in there and gets nothing else; any other one gets it with its first presence (XEP-0160), as one does
 * from Prosody. Which kind it is, is known from when it was here before; of a new one after a moment in which it could have
 * asked.
 */
import type { Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { decodeMessage } from '../../../core/message/message.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import type { Client } from '../client.ts'
import { child, childrenNamed, type Element, withAttrs, withChildren } from '../element.ts'
import type { Server } from '../feature.ts'
import { bareOf, fullOf } from '../jid.ts'
import { elementOf } from '../xml-reader.ts'
import { type Follower, hears } from './follow.ts'
import { ns } from './namespaces.ts'
import type { Progress } from './progress.ts'
import { readStored } from './stored.ts'
import { delayOf, saidAtMs } from './to-xmpp.ts'

interface MissedParts {
  readonly server: Server
  readonly progress: Progress
  readonly follower: () => Follower
}

export class Missed implements Disposable {
  readonly #parts: MissedParts
  /** By account: the last number that some program was given. */
  readonly #given = new Map<Identity, number>()
  /** The same of programs that are gone and lack nothing of it. */
  readonly #had = new Map<Identity, number>()
  /** Some of them are not kept yet. */
  #isNews = false
  readonly #timers = new Set<NodeJS.Timeout>()
  #saving: NodeJS.Timeout | undefined

  constructor(parts: MissedParts) {
    this.#parts = parts
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer)
    clearTimeout(this.#saving)
    this.#save()
  }

  /** Kept a little later: what comes again after a crash is told by its stanza-id. */
  given(account: Identity, number: number): void {
    this.#given.set(account, number)
    this.#isNews = true
    this.#saving ??= setTimeout(() => this.#save(), limits.xmppGivenKeptMs).unref()
  }

  /**
   * A program is gone. Where it was the last one that hears, what comes from now on was not given to any; nor was what it
   * has not acknowledged, which is treated as if it had come now (XEP-0198 §5).
   */
  left(client: Client): void {
    const { hub, services } = this.#parts.server
    const { account } = client
    const lacked = services.store.read((tx) => this.#firstLacked(tx, client))
    const had = lacked === undefined ? (hears(client) ? client.state.upTo : undefined) : lacked - 1
    if (had !== undefined) this.#had.set(account, Math.max(had, this.#had.get(account) ?? 0))
    const given = this.#given.get(account)
    const isLast = !hub.of(account).some(hears)
    if (lacked !== undefined && isLast) this.given(account, Math.min(given ?? Infinity, this.#had.get(account)!))
    this.#save()
  }

  /** Number of the first message of somebody else that it may not have. */
  #firstLacked(tx: ReadTx, client: Client): number | undefined {
    const { names, services } = this.#parts.server
    const { account } = client
    const own = bareOf(names.own(account))
    for (const xml of client.unacknowledged?.() ?? []) {
      const ids = childrenNamed(elementOf(xml), `stanza-id ${ns.sid}`)
      const id = ids.find(({ attrs }) => attrs.by === own)?.attrs.id
      const row = id === undefined ? undefined : services.conversations.history.message(tx, account, id as MessageId)
      if (row !== undefined) return row.number
    }
    return undefined
  }

  /** It has sent its first presence. */
  came(client: Client): void {
    const follower = this.#parts.follower()
    if (hears(client)) this.#giveMissed(client, follower.awaitedFrom(client))
    follower.awaitedCame(client)
  }

  /** @param awaited what came after this number it is given in any case */
  #giveMissed(client: Client, awaited: number | undefined): void {
    const { server, progress } = this.#parts
    const { account, login } = client
    const { store, conversations } = server.services
    if (server.hub.of(account).some((other) => other !== client && hears(other))) return
    const last = conversations.lastNumber(account)
    const upTo = awaited ?? last
    const { from, readsArchive } = store.read((tx) => ({
      from: this.#given.get(account) ?? progress.given(tx, account)?.upTo,
      readsArchive: progress.readsArchive(tx, login),
    }))
    this.given(account, last)
    if (from === undefined || from >= upTo || readsArchive === true) return
    if (readsArchive === false) this.#give(client, from, upTo)
    else this.#later(client, () => this.#give(client, from, upTo))
  }

  /** It stayed and did not ask: it reads no archive. */
  #later(client: Client, give: () => void): void {
    const { server, progress } = this.#parts
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      const { store } = server.services
      if (server.hub.find(client.account, client.jid) !== client) return
      if (store.read((tx) => progress.readsArchive(tx, client.login)) === true) return
      give()
      void store
        .write((tx) => progress.setReadsArchive(tx, client.login, false))
        .catch(() => server.ambient.log.warn('xmpp.given-not-kept'))
    }, limits.xmppOfflineWaitMs)
    timer.unref()
    this.#timers.add(timer)
  }

  #give(client: Client, from: number, upTo: number): void {
    const { server } = this.#parts
    const found = server.services.store.read((tx) => this.#stanzas(tx, client.account, from, upTo))
    for (const stanza of found) client.send(withAttrs(stanza, { to: fullOf(client.jid) }))
  }

  /** What others said, oldest first, each with when that was. */
  #stanzas(tx: ReadTx, account: Identity, from: number, upTo: number): readonly Element[] {
    const { server, follower } = this.#parts
    const { history } = server.services.conversations
    const found: Element[] = []
    for (const step of history.feed.steps(tx, account, { from: from + 1, to: upTo + 1, reverse: true })) {
      if (found.length >= limits.xmppOfflineMax) break
      if (step.event.kind !== 'message' && step.event.kind !== 'about') continue
      const row = history.message(tx, account, step.event.message)
      if (row === undefined || row.encoded.length === 0 || decodeMessage(row.encoded).author === account) continue
      const stanza = follower().stanzaOf(tx, account, step)
      const stored = readStored(tx, server, account, step.event.message)
      if (stanza === undefined || stored === undefined) continue
      const isDated = child(stanza, `delay ${ns.delay}`) !== undefined
      found.push(isDated ? stanza : withChildren(stanza, delayOf(saidAtMs(stored), server.names.server)))
    }
    return found.toReversed()
  }

  #save(): void {
    clearTimeout(this.#saving)
    this.#saving = undefined
    if (!this.#isNews) return
    this.#isNews = false
    const given = [...this.#given]
    const { server, progress } = this.#parts
    void server.services.store
      .write((tx: WriteTx) => {
        for (const [account, upTo] of given)
          if (server.services.accounts.has(account)) progress.setGiven(tx, account, { upTo })
      })
      .catch(() => server.ambient.log.warn('xmpp.given-not-kept'))
  }
}

/**
 * What is said in the chats of the server's users, given to the server: what others say, and, where the server lets it, what
 * the users say by mail or with other programs. Each in the order in which it happened, from where the server has it; the
 * place moves once the server has answered after them. After a crash in between, the last of them come again, with the same ids.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode } from '../../../core/errors.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import type { FeedStep } from '../../../core/conversation/conversations.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { type Element, elements, withChildren } from '../element.ts'
import type { Server } from '../feature.ts'
import { bareOf, parseJid } from '../jid.ts'
import type { ClientIds } from '../messages/client-ids.ts'
import { ns } from '../messages/namespaces.ts'
import { directSight, peerOf, readStored } from '../messages/stored.ts'
import { delayOf, saidAtMs, type Sight, toXmpp } from '../messages/to-xmpp.ts'
import { Waiting } from '../waiting.ts'
import type { ComponentLink } from './link.ts'
import { outward } from './names.ts'
import { type Privileges, spoken } from './privileges.ts'
import { type ComponentUser, type ComponentUsers, forgetSaid, wasSaid } from './users.ts'

interface OutgoingParts {
  readonly server: Server
  readonly users: ComponentUsers
  readonly ids: ClientIds
  readonly domain: string
  readonly link: () => ComponentLink
  readonly privilegesOf: (jid: string) => Privileges
}

interface ToGive {
  readonly stanza: Element
  readonly isOwn: boolean
}

export class Outgoing {
  readonly #parts: OutgoingParts
  readonly #busy = new Map<string, Promise<void>>()
  /** Asked for while it was busy. */
  readonly #again = new Set<string>()
  /** Ids of messages that the server will pass on to us, as it does to any recipient; a program may use one again later. */
  readonly #echoes = new Waiting<true>({ ms: limits.componentEchoMs, max: limits.componentEchoesMax }, () => {})
  #isClosing = false

  constructor(parts: OutgoingParts) {
    this.#parts = parts
  }

  /** Gives the server all that it lacks of one user. */
  pump(jid: string): void {
    if (this.#isClosing) return
    if (this.#busy.has(jid)) {
      this.#again.add(jid)
      return
    }
    const work = this.#work(jid).catch((error: unknown) => {
      if (!hasCode(error, 'shutting-down')) this.#parts.server.ambient.log.warn('xmpp.component-not-given')
    })
    this.#busy.set(jid, work)
    void work.finally(() => {
      this.#busy.delete(jid)
      if (this.#again.delete(jid)) this.pump(jid)
    })
  }

  /** Begins nothing more, and resolves once the server has answered for what is on its way to it: so it does not come again. */
  async close(): Promise<void> {
    this.#isClosing = true
    using _ = this.#echoes
    await Promise.race([Promise.all(this.#busy.values()), sleep(limits.componentDrainMs, undefined, { ref: false })])
  }

  /** A privileged message has come back: once for each that was sent. */
  takeEcho(jid: string, id: string): boolean {
    return this.#echoes.take(`${jid} ${id}`) !== undefined
  }

  async #work(jid: string): Promise<void> {
    const { server, users } = this.#parts
    const { conversations } = server.services
    const serverDomain = parseJid(jid)!.domain
    if (!(await this.#parts.link().isGreeted(serverDomain))) return
    for (;;) {
      const user = users.get(jid)
      const link = this.#parts.link()
      if (user === undefined || !link.isUp || this.#isClosing) return
      const steps = conversations.feedSince(user.account, user.upTo, limits.componentBatch)
      const last = steps.at(-1)
      if (last === undefined) return
      const { given, said } = server.services.store.read((tx) => this.#stanzas(tx, user, steps))
      for (const one of given) this.#give(user, one)
      if (given.length > 0 && !(await link.isTaken(serverDomain))) return
      await users.given(jid, last.number)
      if (said.length > 0) await server.services.store.write((tx) => forgetSaid(tx, user.account, said))
    }
  }

  #give({ jid }: ComponentUser, { stanza, isOwn }: ToGive): void {
    const { domain, privilegesOf } = this.#parts
    if (!isOwn) return this.#parts.link().send(stanza)
    this.#echoes.add(`${jid} ${stanza.attrs.id}`, true)
    this.#parts.link().send(spoken(stanza, privilegesOf(jid), domain, parseJid(jid)!.domain))
  }

  #stanzas(
    tx: ReadTx,
    user: ComponentUser,
    steps: readonly FeedStep[],
  ): { readonly given: readonly ToGive[]; readonly said: readonly string[] } {
    const said: string[] = []
    const given = steps.flatMap((step): readonly ToGive[] => {
      const { event } = step
      const peer = peerOf(this.#parts.server.services.conversations.get(user.account, step.conversation))
      if (peer === undefined || peer === user.account) return []
      if (event.kind !== 'message' && event.kind !== 'about') return []
      return this.#stanza(tx, user, peer, event.message, said) ?? []
    })
    return { given, said }
  }

  #stanza(
    tx: ReadTx,
    user: ComponentUser,
    peer: Identity,
    id: MessageId,
    said: string[],
  ): readonly ToGive[] | undefined {
    const { server, ids, domain, privilegesOf } = this.#parts
    const { account, jid } = user
    const stored = readStored(tx, server, account, id)
    if (stored === undefined) return undefined
    const isOwn = stored.message.author === account
    const name = `${jid} ${ids.idOf(tx, account, id)}`
    if (isOwn && wasSaid(tx, account, name)) {
      said.push(name)
      return undefined
    }
    if (isOwn && !privilegesOf(jid).maySpeak) return undefined
    const theirs = bareOf(outward(server.names.person(account, peer), domain))
    const sight: Sight = {
      ...directSight(tx, server, ids, account, peer),
      by: jid,
      from: (author) => (author === account ? jid : theirs),
      to: (author) => (author === account ? theirs : jid),
    }
    const stanza = toXmpp(stored, sight)
    if (stanza === undefined) return undefined
    // the server gives its own
    const plain = { ...stanza, children: elements(stanza).filter((one) => !isStanzaId(one)) }
    const isLate = server.ambient.clock.nowMs() - saidAtMs(stored) > limits.xmppLateMs
    return [{ stanza: isLate ? withChildren(plain, delayOf(saidAtMs(stored), domain)) : plain, isOwn }]
  }
}

const isStanzaId = (one: Element): boolean => one.name === 'stanza-id' && one.ns === ns.sid

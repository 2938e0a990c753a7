/**
 * Who at the other server is which account here, and how far each was given what is said in its chats. By the configuration, or by
 * registering with an app password (XEP-0077). Durable.
 */
import { array, bool, decode, encode, hexId, record, text, u64 } from '../../../core/codec.ts'
import type { Log } from '../../../core/ambient.ts'
import type { Accounts } from '../../../core/account/accounts.ts'
import type { Conversations } from '../../../core/conversation/conversations.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import { MyceliumError } from '../../../core/errors.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import { bareOf, parseJid } from '../jid.ts'

export interface ComponentUser {
  /** Bare JID at the other server. */
  readonly jid: string
  readonly account: Identity
  /** By itself, not by the configuration. */
  readonly isRegistered: boolean
  /** Number in the account's order up to which the server has what was said. */
  readonly upTo: number
  /** It lets the gateway know whether it is there (XEP-0100 §4.1.1). */
  readonly showsPresence: boolean
  /** Contacts that were shown to it, where it has to agree to each by itself. */
  readonly asked: readonly Identity[]
}

const userCodec = record<ComponentUser>({
  jid: text(limits.xmppJidOctetsMax),
  account: hexId<Identity>(32),
  isRegistered: bool,
  upTo: u64,
  showsPresence: bool,
  asked: array(hexId<Identity>(32), limits.componentAskedMax),
})

interface UserParts {
  readonly store: Store
  readonly accounts: Accounts
  readonly conversations: Conversations
}

export class ComponentUsers {
  readonly #parts: UserParts
  readonly #users = new Map<string, ComponentUser>()

  private constructor(parts: UserParts) {
    this.#parts = parts
  }

  /** @param given bare JIDs with the localNames or addresses of their accounts; what leads nowhere is left out */
  static async open(parts: UserParts, given: ReadonlyMap<string, string>, log: Log): Promise<ComponentUsers> {
    const users = new ComponentUsers(parts)
    const configured = new Map(
      [...given].flatMap(([text, name]): readonly (readonly [string, Identity])[] => {
        const jid = parseJid(text)
        const account = parts.accounts.byUser(name)
        if (jid !== undefined && jid.local !== '' && account !== undefined) return [[bareOf(jid), account.identity]]
        log.warn('xmpp.component-user-unknown')
        return []
      }),
    )
    const known = parts.store.read((tx) =>
      [...tx.range(tables.componentUsers, {})].map(({ value }) => decode(userCodec, value)),
    )
    for (const user of known)
      if (parts.accounts.has(user.account) && (user.isRegistered || configured.has(user.jid)))
        users.#users.set(user.jid, user)
      else await parts.store.write((tx) => tx.remove(tables.componentUsers, keyOf(tx, user.jid)))
    for (const [jid, account] of configured) {
      const before = users.get(jid)
      if (before?.account !== account || before.isRegistered) await users.bind(jid, account, false)
    }
    return users
  }

  get(jid: string): ComponentUser | undefined {
    const user = this.#users.get(jid)
    return user !== undefined && this.#parts.accounts.has(user.account) ? user : undefined
  }

  all(): readonly ComponentUser[] {
    return [...this.#users.values()].filter(({ account }) => this.#parts.accounts.has(account))
  }

  of(account: Identity): readonly ComponentUser[] {
    return this.all().filter((user) => user.account === account)
  }

  /** From now on; what was said before stays where it was said. */
  async bind(jid: string, account: Identity, isRegistered = true): Promise<ComponentUser> {
    if (!this.#users.has(jid) && this.#users.size >= limits.componentUsersMax) throw new MyceliumError('throttled')
    const upTo = this.#parts.conversations.lastNumber(account)
    return await this.#put({ jid, account, isRegistered, upTo, showsPresence: false, asked: [] })
  }

  async unbind(jid: string): Promise<void> {
    await this.#parts.store.write((tx) => tx.remove(tables.componentUsers, keyOf(tx, jid)))
    this.#users.delete(jid)
  }

  /** The server has it. */
  async given(jid: string, upTo: number): Promise<void> {
    const user = this.#users.get(jid)
    if (user !== undefined && user.upTo < upTo) await this.#put({ ...user, upTo })
  }

  async asks(jid: string, asked: readonly Identity[]): Promise<void> {
    const user = this.#users.get(jid)
    if (user !== undefined) await this.#put({ ...user, asked: asked.slice(-limits.componentAskedMax) })
  }

  async showsPresence(jid: string, showsPresence: boolean): Promise<void> {
    const user = this.#users.get(jid)
    if (user !== undefined && user.showsPresence !== showsPresence) await this.#put({ ...user, showsPresence })
  }

  async #put(user: ComponentUser): Promise<ComponentUser> {
    await this.#parts.store.write((tx) => tx.put(tables.componentUsers, keyOf(tx, user.jid), encode(userCodec, user)))
    this.#users.set(user.jid, user)
    return user
  }
}

const keyOf = (tx: ReadTx, jid: string): Uint8Array => tx.opaque(fromUtf8(jid))

const saidKey = (tx: ReadTx, account: Identity, id: string): Uint8Array =>
  Buffer.concat([tx.opaque(Buffer.from(account, 'hex')), tx.opaque(fromUtf8(id))])

/** In the transaction that takes a message of a program at the other server: that server has it already. */
export const noteSaid = (tx: WriteTx, account: Identity, id: string): void =>
  tx.put(tables.componentSaid, saidKey(tx, account, id), new Uint8Array())

export const wasSaid = (tx: ReadTx, account: Identity, id: string | MessageId): boolean =>
  tx.get(tables.componentSaid, saidKey(tx, account, id)) !== undefined

/** The feed is past it: nobody asks again. */
export const forgetSaid = (tx: WriteTx, account: Identity, ids: readonly string[]): void => {
  for (const id of ids) tx.remove(tables.componentSaid, saidKey(tx, account, id))
}

/** What an account's programs were given, and which of them read the archive by themselves. Durable. */
import { fromUtf8 } from '../../../core/bytes.ts'
import { bool, type Codec, decode, encode, record, u64 } from '../../../core/codec.ts'
import type { Login } from '../../../core/account/logins.ts'
import type { Conversations } from '../../../core/conversation/conversations.ts'
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'

interface Given {
  /** Number in the account's order up to which a program was given what came. */
  readonly upTo: number
  /** Chats have left the inbox for it, once: who wants them back there is not overruled. */
  readonly hasMovedChats: boolean
}
const givenCodec: Codec<Given> = record<Given>({ upTo: u64, hasMovedChats: bool })
const ofAccount = Uint8Array.of(0)
const ofLogin = Uint8Array.of(1)

export class Progress {
  readonly #conversations: Conversations

  constructor(conversations: Conversations) {
    this.#conversations = conversations
  }

  /** @returns undefined before the first program of the account */
  given(tx: ReadTx, account: Identity): Given | undefined {
    const value = tx.get(tables.xmppProgress, this.#keyOf(tx, account, ofAccount))
    return value === undefined ? undefined : decode(givenCodec, value)
  }

  setGiven(tx: WriteTx, account: Identity, change: Partial<Given>): void {
    const before = this.given(tx, account) ?? { upTo: 0, hasMovedChats: false }
    tx.put(tables.xmppProgress, this.#keyOf(tx, account, ofAccount), encode(givenCodec, { ...before, ...change }))
  }

  /** @returns undefined for one that was never here long enough to tell */
  readsArchive(tx: ReadTx, login: Login): boolean | undefined {
    const value = tx.get(tables.xmppProgress, this.#keyOfLogin(tx, login))
    return value === undefined ? undefined : decode(bool, value)
  }

  setReadsArchive(tx: WriteTx, login: Login, does: boolean): void {
    if (this.readsArchive(tx, login) !== does)
      tx.put(tables.xmppProgress, this.#keyOfLogin(tx, login), encode(bool, does))
  }

  #keyOfLogin(tx: ReadTx, { account, passwordId }: Login): Uint8Array {
    return this.#keyOf(tx, account, Buffer.concat([ofLogin, tx.opaque(fromUtf8(passwordId))]))
  }

  #keyOf(tx: ReadTx, account: Identity, rest: Uint8Array): Uint8Array {
    return Buffer.concat([this.#conversations.history.keys.account(tx, account), rest])
  }
}

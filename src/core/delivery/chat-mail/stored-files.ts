/**
 * Long files of chats put into their mails when they are here: in the background, one after the other, from durable rows,
 * so that what a restart interrupts is done after it.
 */
import type { Log } from '../../ambient.ts'
import { concat, fromLatin1 } from '../../bytes.ts'
import { decode, encode, hexId } from '../../codec.ts'
import { MyceliumError } from '../../errors.ts'
import type { Identity, MessageId } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { Mailboxes } from '../../mailbox/mailbox.ts'
import { base64Body } from '../../message/mail-writing.ts'
import type { ReadTx, Store, WriteTx } from '../../store/store.ts'
import { tables } from '../../store/tables.ts'
import type { AroundFile, ChatMail } from './chat-mail.ts'

const accountCodec = hexId<Identity>(32)
/** Octets of a file that are whole lines of base64. */
const lineGroupOctets = 57 * 1024

export class StoredFiles implements AsyncDisposable {
  readonly #store: Store
  readonly #mailboxes: Mailboxes
  readonly #chatMail: Pick<ChatMail, 'aroundFile' | 'putFile'>
  readonly #log: Log
  #running: Promise<void> | undefined
  #isWanted = false
  #isClosed = false

  constructor(parts: {
    readonly store: Store
    readonly mailboxes: Mailboxes
    readonly chatMail: Pick<ChatMail, 'aroundFile' | 'putFile'>
    readonly log: Log
  }) {
    this.#store = parts.store
    this.#mailboxes = parts.mailboxes
    this.#chatMail = parts.chatMail
    this.#log = parts.log
  }

  add(tx: WriteTx, account: Identity, id: MessageId): void {
    tx.put(tables.chatFileMails, keyOf(tx, account, id), encode(accountCodec, account))
    tx.afterCommit(() => this.wake())
  }

  /** Does what there is to do. */
  wake(): void {
    this.#isWanted = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (this.#isWanted && !this.#isClosed) this.wake()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#running
  }

  async #run(): Promise<void> {
    this.#isWanted = false
    const rows = this.#store.read((tx) =>
      [...tx.range(tables.chatFileMails, {})].map(({ key, value }) => ({
        account: decode(accountCodec, value),
        id: Buffer.from(key.subarray(key.length - 32)).toString('hex') as MessageId,
      })),
    )
    for (const { account, id } of rows) {
      if (this.#isClosed) return
      try {
        await this.#attach(account, id)
      } catch (error) {
        const code = error instanceof MyceliumError ? error.code : 'unexpected'
        if (code !== 'shutting-down') this.#log.error('chat-file.not-attached', { message: id.slice(0, 8), code })
      }
    }
  }

  /** What changes meanwhile makes another row. */
  async #attach(account: Identity, id: MessageId): Promise<void> {
    const around = this.#store.read((tx) => this.#chatMail.aroundFile(tx, account, id))
    const mail =
      around === undefined
        ? undefined
        : await this.#mailboxes.store(account, this.#octets(account, around), { bytesMax: limits.mailBytesMax })
    await this.#store.write((tx) => {
      tx.remove(tables.chatFileMails, keyOf(tx, account, id))
      const isFull = mail !== undefined && this.#mailboxes.writer(tx, account).isFull(mail.size)
      if (around !== undefined && mail !== undefined && !isFull) this.#chatMail.putFile(tx, account, id, around, mail)
    })
  }

  async *#octets(account: Identity, { stored, before, after }: AroundFile): AsyncGenerator<Uint8Array> {
    yield before
    let held: Uint8Array = new Uint8Array()
    for await (const piece of this.#mailboxes.read(account, stored)) {
      held = concat(held, piece)
      const whole = held.length - (held.length % lineGroupOctets)
      if (whole === 0) continue
      yield fromLatin1(base64Body(held.subarray(0, whole)))
      held = held.subarray(whole)
    }
    yield fromLatin1(base64Body(held))
    yield after
  }
}

const keyOf = (tx: ReadTx, account: Identity, id: MessageId): Uint8Array =>
  concat(tx.opaque(Buffer.from(account, 'hex')), Buffer.from(id, 'hex'))

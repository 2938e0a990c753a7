/** ◆ What programs note about a mailbox, or about the account as a whole (RFC 5464): named values, kept with the mailbox. */
import { concat, fromHex, fromUtf8 } from '../bytes.ts'
import { bytes, decode, encode, record, text } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity, MailboxId } from '../ids.ts'
import { limits } from '../limits.ts'
import { accountKey } from '../store/content-rows.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

/** `/private/comment`, in lower case: names differ in more than case. */
export type AnnotationName = string

export interface AnnotationChange {
  /** None for the account as a whole. */
  readonly mailbox: MailboxId | undefined
  readonly names: readonly AnnotationName[]
}

export interface Annotations {
  get(account: Identity, mailbox: MailboxId | undefined): ReadonlyMap<AnnotationName, Uint8Array>
  /**
   * All or nothing; `undefined` removes. @throws `too-large` (too many), `mailbox-full` (together too large),
   * `no-such-mailbox`
   */
  set(
    account: Identity,
    mailbox: MailboxId | undefined,
    values: ReadonlyMap<AnnotationName, Uint8Array | undefined>,
  ): Promise<void>
  /** In-process, after the commit; returns how to stop. */
  watch(account: Identity, listener: (change: AnnotationChange) => void): () => void
}

const codec = record({
  name: text(limits.annotationNameOctetsMax),
  value: bytes(limits.annotationBytesMax),
})

/** No mailbox has this id: ids are random. */
const wholeAccount = new Uint8Array(16)

const prefixOf = (tx: ReadTx, account: Identity, mailbox: MailboxId | undefined): Uint8Array =>
  concat(accountKey(tx, account), mailbox === undefined ? wholeAccount : fromHex(mailbox)!)

export function openAnnotations(store: Store): Annotations {
  const listeners = new Map<Identity, Set<(change: AnnotationChange) => void>>()
  return {
    get: (account, mailbox) => store.read((tx) => read(tx, prefixOf(tx, account, mailbox))),
    async set(account, mailbox, values) {
      await store.write((tx) => {
        const prefix = prefixOf(tx, account, mailbox)
        if (mailbox !== undefined && !tx.has(tables.mailboxes, prefix)) throw new MyceliumError('no-such-mailbox')
        write(tx, prefix, values)
        refuseTooMuch(tx, account, prefix)
        tx.afterCommit(() => {
          for (const listener of listeners.get(account) ?? []) listener({ mailbox, names: [...values.keys()] })
        })
      })
    },
    watch(account, listener) {
      const own = listeners.get(account) ?? new Set()
      listeners.set(account, own.add(listener))
      return () => {
        own.delete(listener)
        if (own.size === 0) listeners.delete(account)
      }
    },
  }
}

function read(tx: ReadTx, prefix: Uint8Array): ReadonlyMap<AnnotationName, Uint8Array> {
  const found = [...tx.range(tables.annotations, { prefix })].map(({ value }) => decode(codec, value))
  return new Map(found.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(({ name, value }) => [name, value]))
}

function write(tx: WriteTx, prefix: Uint8Array, values: ReadonlyMap<AnnotationName, Uint8Array | undefined>): void {
  for (const [name, value] of values) {
    const key = concat(prefix, tx.opaque(fromUtf8('annotation'), prefix, fromUtf8(name)))
    if (value === undefined) tx.remove(tables.annotations, key)
    else tx.put(tables.annotations, key, encode(codec, { name, value }))
  }
}

/** Changes are rare and values few: they are counted anew each time. */
function refuseTooMuch(tx: WriteTx, account: Identity, prefix: Uint8Array): void {
  const count = [...tx.keys(tables.annotations, { prefix })].length
  if (count > limits.annotationsMax) throw new MyceliumError('too-large', { annotationsMax: limits.annotationsMax })
  let total = 0
  for (const { value } of tx.range(tables.annotations, { prefix: accountKey(tx, account) })) total += value.length
  if (total > limits.annotationsBytesMax) throw new MyceliumError('mailbox-full')
}

/**
 * Folders as the devices of an account have them in common: name, subscription and removal are last-writer registers.
 * A folder's id follows from its first name or its use, so that the same folder made on two devices is one. A folder
 * that was removed while another device put mail into it comes back; two that were given one name keep both, one of them
 * under a longer name.
 */
import { concat, toHex } from '../bytes.ts'
import { bool, type Codec, decode, encode, hexId, optional, record, text } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity, MailboxId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, MailboxWriter, SpecialUse } from '../mailbox/mailbox.ts'
import { inbox } from '../mailbox/names.ts'
import { specialUseCodec } from '../mailbox/rows.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { FolderId } from './copy-state.ts'
import { isAhead, noStamp, type Stamp } from './hlc.ts'
import { later, type Register, registerCodec } from './register.ts'
import { type ItemSlice, type MergeSource, type Replicas, type Replicated, sliceOf } from './replicas.ts'
import type { ItemId } from './set-reconciliation.ts'

export interface FolderState {
  readonly id: FolderId
  readonly specialUse: SpecialUse | undefined
  readonly name: Register<string>
  readonly subscribed: Register<boolean>
  readonly removed: Register<boolean>
}

interface FolderRow extends FolderState {
  /** The mailbox that shows it here, and under which name. */
  readonly mailbox: MailboxId | undefined
  readonly shown: string
}

const name = text(limits.mailboxNameOctetsMax)
const fields = {
  id: hexId<FolderId>(16),
  specialUse: optional(specialUseCodec),
  name: registerCodec(name),
  subscribed: registerCodec(bool),
  removed: registerCodec(bool),
}
const folderStateCodec: Codec<FolderState> = record<FolderState>(fields)
const rowCodec = record<FolderRow>({ ...fields, mailbox: optional(hexId<MailboxId>(16)), shown: name })

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const prefixOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(raw(account))
const encodedState = ({ id, specialUse, name, subscribed, removed }: FolderRow): Uint8Array =>
  encode(folderStateCodec, { id, specialUse, name, subscribed, removed })
const versionOf = (row: FolderRow): string =>
  toHex(labelledHash('mycelium/folder-version/1', encodedState(row)).subarray(0, 16))
const hashed = (what: string): FolderId => toHex(labelledHash('mycelium/folder/1', Buffer.from(what)).subarray(0, 16))
const inboxFolder = hashed(inbox)

const settlePassesMax = 4

interface FoldersParts {
  readonly mailboxes: Mailboxes
  readonly replicas: Replicas
  readonly nowMs: () => number
}

export class Folders implements Replicated {
  readonly kind = 1
  readonly #parts: FoldersParts

  constructor(parts: FoldersParts) {
    this.#parts = parts
  }

  /** Which folder a mailbox is; something was put into it, so it stays, whoever removed it elsewhere. */
  used(tx: WriteTx, account: Identity, mailbox: MailboxId): FolderId {
    const row = this.#rows(tx, account).find((one) => one.mailbox === mailbox)
    if (row === undefined) throw new MyceliumError('no-such-mailbox')
    if (row.removed.value)
      this.#put(tx, account, { ...row, removed: { value: false, stamp: this.#stamp(account, row.removed) } }, undefined)
    return row.id
  }

  /** Is it a folder that somebody has told of? */
  isKnown(tx: ReadTx, account: Identity, folder: FolderId): boolean {
    return this.#read(tx, account, folder) !== undefined
  }

  /** The mailbox that a folder is here; one that was removed is made again. `undefined` for a folder nobody has told of. */
  mailboxOf(tx: WriteTx, account: Identity, folder: FolderId): MailboxId | undefined {
    const row = this.#read(tx, account, folder)
    if (row === undefined || row.mailbox !== undefined) return row?.mailbox
    const back: FolderRow = { ...row, removed: { value: false, stamp: this.#stamp(account, row.removed) } }
    this.#put(tx, account, back, undefined)
    this.#settle(tx, account)
    return this.#read(tx, account, folder)?.mailbox
  }

  /**
   * Takes over what was done to mailboxes here.
   * @param isFresh they were made for a new device: what other devices say of them stands
   */
  compare(
    tx: WriteTx,
    account: Identity,
    list: ReturnType<MailboxWriter['list']>,
    { isFresh = false }: { readonly isFresh?: boolean } = {},
  ): void {
    const rows = this.#rows(tx, account)
    const stamp = (previous?: Register<unknown>): Stamp => (isFresh ? noStamp : this.#stamp(account, previous))
    const shown = new Set<MailboxId>()
    for (const { id: mailbox, name, specialUse, subscribed } of list) {
      shown.add(mailbox)
      const known = rows.find((row) => row.mailbox === mailbox) ?? this.#adopted(rows, name, specialUse)
      if (known === undefined) {
        const id = this.#newId(rows, name, specialUse)
        const made = stamp()
        this.#put(
          tx,
          account,
          {
            id,
            specialUse,
            name: { value: name, stamp: made },
            subscribed: { value: subscribed, stamp: made },
            removed: { value: false, stamp: made },
            mailbox,
            shown: name,
          },
          undefined,
        )
        continue
      }
      const isRenamed = name !== known.shown
      const next: FolderRow = {
        ...known,
        mailbox,
        shown: name,
        name: isRenamed ? { value: name, stamp: stamp(known.name) } : known.name,
        subscribed:
          subscribed === known.subscribed.value
            ? known.subscribed
            : { value: subscribed, stamp: stamp(known.subscribed) },
        removed:
          known.removed.value && known.mailbox === undefined
            ? { value: false, stamp: stamp(known.removed) }
            : known.removed,
      }
      this.#putIfChanged(tx, account, known, next, undefined)
    }
    for (const row of rows) {
      if (row.mailbox === undefined || shown.has(row.mailbox)) continue
      const gone: FolderRow = { ...row, mailbox: undefined, removed: { value: true, stamp: stamp(row.removed) } }
      this.#put(tx, account, gone, undefined)
    }
  }

  /** One that has no mailbox here, made again under the name or for the use that its id stands for. */
  #adopted(rows: readonly FolderRow[], name: string, specialUse: SpecialUse | undefined): FolderRow | undefined {
    const id = hashed(specialUse ?? name)
    const found = rows.find((row) => row.id === id && row.mailbox === undefined)
    return found === undefined ? undefined : { ...found, shown: found.name.value }
  }

  #newId(rows: readonly FolderRow[], name: string, specialUse: SpecialUse | undefined): FolderId {
    const taken = new Set(rows.map(({ id }) => id))
    for (let number = 0; ; number += 1) {
      const what = number === 0 ? (specialUse ?? name) : `${name}\0${number}`
      if (!taken.has(hashed(what))) return hashed(what)
    }
  }

  /** Folders that a new account has on every device, and this one has not: they were removed here. */
  noteMissing(
    tx: WriteTx,
    account: Identity,
    usual: readonly { readonly name: string; readonly specialUse?: SpecialUse }[],
  ): void {
    const known = new Set(this.#rows(tx, account).map(({ id }) => id))
    const stamp = this.#stamp(account)
    for (const { name, specialUse } of usual) {
      const id = hashed(specialUse ?? name)
      if (known.has(id)) continue
      const gone = { value: true, stamp }
      const register = { value: name, stamp }
      this.#put(
        tx,
        account,
        {
          id,
          specialUse,
          name: register,
          subscribed: { value: false, stamp },
          removed: gone,
          mailbox: undefined,
          shown: name,
        },
        undefined,
      )
    }
  }

  items(tx: ReadTx, account: Identity, from: Uint8Array | undefined): ItemSlice {
    return sliceOf(tx, tables.folders, { prefix: prefixOf(tx, account), from }, (value) => {
      const row = decode(rowCodec, value)
      return { atMs: 0, id: row.id, version: versionOf(row) }
    })
  }

  state(tx: ReadTx, account: Identity, id: ItemId): Uint8Array | undefined {
    const row = this.#read(tx, account, id)
    return row === undefined ? undefined : encodedState(row)
  }

  merge(tx: WriteTx, { account, device }: MergeSource, states: readonly Uint8Array[]): void {
    const nowMs = this.#parts.nowMs()
    for (const state of states.map((encoded) => decode(folderStateCodec, encoded))) {
      const stamps = [state.name.stamp, state.subscribed.stamp, state.removed.stamp]
      if (stamps.some((stamp) => isAhead(stamp, nowMs))) continue
      for (const stamp of stamps) this.#parts.replicas.clock(account).saw(stamp)
      const known = this.#read(tx, account, state.id)
      const merged: FolderRow =
        known === undefined
          ? { ...state, mailbox: undefined, shown: '' }
          : {
              ...known,
              name: later(known.name, state.name),
              subscribed: later(known.subscribed, state.subscribed),
              removed: later(known.removed, state.removed),
            }
      this.#putIfChanged(tx, account, known, merged, device)
    }
    this.#settle(tx, account)
  }

  /** Mail has left folders: those that were removed elsewhere may go. */
  tidy(tx: WriteTx, account: Identity): void {
    if (this.#rows(tx, account).some(({ removed, mailbox }) => removed.value && mailbox !== undefined))
      this.#settle(tx, account)
  }

  /** Brings the mailboxes in line with the registers. */
  #settle(tx: WriteTx, account: Identity): void {
    const writer = this.#parts.mailboxes.writer(tx, account)
    // one may have to give up a name before another can have it
    for (let pass = 0, isDone = false; pass < settlePassesMax && !isDone; pass += 1) {
      const list = writer.list()
      const names = new Set(list.map(({ name }) => name))
      const subscribed = new Set(list.flatMap((one) => (one.subscribed ? [one.id] : [])))
      isDone = true
      for (const row of this.#wanted(tx, account))
        if (this.#settleOne(tx, account, { row, writer, names, subscribed })) isDone = false
    }
  }

  /** @returns whether it changed where a folder is */
  #settleOne(
    tx: WriteTx,
    account: Identity,
    {
      row,
      writer,
      names,
      subscribed,
    }: {
      readonly row: FolderRow & { readonly wanted: string }
      readonly writer: MailboxWriter
      readonly names: Set<string>
      readonly subscribed: ReadonlySet<MailboxId>
    },
  ): boolean {
    const { wanted, ...kept } = row
    const isGone = row.removed.value && row.id !== inboxFolder
    if (isGone) {
      if (row.mailbox === undefined || writer.messages(row.mailbox) > 0) return false
      writer.remove(row.shown)
      names.delete(row.shown)
      this.#store(tx, account, { ...kept, mailbox: undefined })
      return true
    }
    let shown = row.shown
    let { mailbox } = row
    if (mailbox === undefined) {
      mailbox = this.#made(tx, account, { writer, names, wanted, specialUse: row.specialUse })
      if (mailbox === undefined) return false
      shown = wanted
    } else if (wanted !== shown && !names.has(wanted) && row.id !== inboxFolder && !wanted.startsWith(`${shown}/`)) {
      writer.rename(shown, wanted)
      this.#renamedBelow(tx, account, shown, wanted)
      names.delete(shown)
      shown = wanted
    }
    names.add(shown)
    if (mailbox === row.mailbox && shown === row.shown && subscribed.has(mailbox) === row.subscribed.value) return false
    writer.subscribe(shown, row.subscribed.value)
    this.#store(tx, account, { ...kept, mailbox, shown })
    return true
  }

  /**
   * A mailbox of this name that no folder has yet is taken: it was made on the way, as somebody's parent. `undefined`
   * while another folder still has the name.
   */
  #made(
    tx: ReadTx,
    account: Identity,
    how: {
      readonly writer: MailboxWriter
      readonly names: ReadonlySet<string>
      readonly wanted: string
      readonly specialUse: SpecialUse | undefined
    },
  ): MailboxId | undefined {
    if (!how.names.has(how.wanted)) return how.writer.create(how.wanted, how.specialUse)
    const there = how.writer.list().find(({ name }) => name === how.wanted)?.id
    return this.#rows(tx, account).some(({ mailbox }) => mailbox === there) ? undefined : there
  }

  #renamedBelow(tx: WriteTx, account: Identity, from: string, to: string): void {
    for (const row of this.#rows(tx, account))
      if (row.mailbox !== undefined && row.shown.startsWith(`${from}/`))
        this.#store(tx, account, { ...row, shown: to + row.shown.slice(from.length) })
  }

  /** Each folder with the name that it is to have here, parents first. */
  #wanted(tx: ReadTx, account: Identity): readonly (FolderRow & { readonly wanted: string })[] {
    const rows = this.#rows(tx, account)
    const owner = new Map<string, FolderId>()
    for (const { id, name, removed } of rows) if (!removed.value && !owner.has(name.value)) owner.set(name.value, id)
    return rows
      .map((row) => ({
        ...row,
        wanted: owner.get(row.name.value) === row.id ? row.name.value : `${row.name.value} (${row.id.slice(0, 4)})`,
      }))
      .toSorted((a, b) => a.wanted.length - b.wanted.length)
  }

  #stamp(account: Identity, previous?: Register<unknown>): Stamp {
    return this.#parts.replicas.clock(account).next(previous?.stamp)
  }

  /** In the order of their ids: the lower one keeps a name that two have. */
  #rows(tx: ReadTx, account: Identity): readonly FolderRow[] {
    const rows = tx.range(tables.folders, { prefix: prefixOf(tx, account) })
    return Array.from(rows, ({ value }) => decode(rowCodec, value)).toSorted((a, b) => (a.id < b.id ? -1 : 1))
  }
  #read(tx: ReadTx, account: Identity, id: FolderId): FolderRow | undefined {
    const value = tx.get(tables.folders, concat(prefixOf(tx, account), tx.opaque(raw(id))))
    return value === undefined ? undefined : decode(rowCodec, value)
  }
  #store(tx: WriteTx, account: Identity, row: FolderRow): void {
    tx.put(tables.folders, concat(prefixOf(tx, account), tx.opaque(raw(row.id))), encode(rowCodec, row))
  }
  #put(tx: WriteTx, account: Identity, row: FolderRow, from: MergeSource['device'] | undefined): void {
    this.#store(tx, account, row)
    this.#parts.replicas.changed(tx, { account, kind: this.kind, ids: [row.id], from })
  }
  #putIfChanged(
    tx: WriteTx,
    account: Identity,
    known: FolderRow | undefined,
    next: FolderRow,
    from: MergeSource['device'] | undefined,
  ): void {
    if (known !== undefined && versionOf(known) === versionOf(next)) {
      if (known.mailbox !== next.mailbox || known.shown !== next.shown) this.#store(tx, account, next)
      return
    }
    this.#put(tx, account, next, from)
  }
}

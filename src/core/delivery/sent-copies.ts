/**
 * One copy of each sent mail in Sent, whoever puts it there first: the gateway at submission, or a client that appends
 * its own. The client's copy wins, because it is the one that the client knows. Which copy belongs to which Message-ID
 * is remembered in memory; after a restart the latest copies are read again.
 */
import type { Ambient } from '../ambient.ts'
import { concat } from '../bytes.ts'
import type { ContentId, Identity, MailboxId, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { AppendItem, Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import { parseHeaders } from '../message/header.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { messageIdText } from './outgoing-mail.ts'

interface SentCopy {
  readonly mailbox: MailboxId
  readonly uid: Uid
  readonly by: 'gateway' | 'client'
}

/** What an APPEND brings: content stored before. */
interface IncomingAppend {
  readonly source: StoredContent
  readonly flags: readonly string[]
  readonly internalDateMs: number
}

interface Ready {
  readonly item: AppendItem
  readonly messageId: string | undefined
  /** The gateway's copy that it replaces. */
  readonly replaces: SentCopy | undefined
}

export class SentCopies {
  readonly #store: Store
  readonly #mailboxes: Mailboxes
  readonly #ambient: Ambient
  readonly #startedAtMs: number
  /** By account and Message-ID. When half the bound is reached the map becomes the older one, whose own copies are forgotten. */
  #known = new Map<string, SentCopy>()
  #older: ReadonlyMap<string, SentCopy> = new Map()

  constructor(parts: { readonly store: Store; readonly mailboxes: Mailboxes; readonly ambient: Ambient }) {
    this.#store = parts.store
    this.#mailboxes = parts.mailboxes
    this.#ambient = parts.ambient
    this.#startedAtMs = parts.ambient.clock.nowMs()
  }

  /** The gateway's own copy at submission; none when the client's is there already or no Sent folder exists. */
  keep(tx: WriteTx, account: Identity, messageId: string, stored: StoredContent): void {
    const sent = this.#mailboxes.bySpecialUse(account, '\\Sent')
    if (sent === undefined || this.#knownCopy(account, messageId) !== undefined) return
    const item: AppendItem = { ...stored, flags: ['\\Seen'], internalDateMs: this.#ambient.clock.nowMs() }
    const [uid] = this.#mailboxes.append(tx, account, sent.id, [item])
    tx.afterCommit(() => this.#remember(account, messageId, { mailbox: sent.id, uid: uid!, by: 'gateway' }))
  }

  /** A client's APPEND, all items or none; in Sent it takes the place of the gateway's copy with the same Message-ID. */
  async append(
    account: Identity,
    mailbox: MailboxId,
    items: readonly IncomingAppend[],
    replaced?: { readonly mailbox: MailboxId; readonly uid: Uid },
  ): Promise<readonly Uid[]> {
    const isSent = this.#mailboxes.byId(account, mailbox)?.specialUse === '\\Sent'
    const ready: Ready[] = []
    for (const { source, ...rest } of items) {
      const messageId = isSent ? await this.#messageIdOf(account, source.content, source.size) : undefined
      const known = messageId === undefined ? undefined : await this.#ownCopy(account, mailbox, messageId)
      ready.push({ item: { ...source, ...rest }, messageId, replaces: known })
    }
    return await this.#store.write((tx) => {
      // First, so that a draft can be saved again in a mailbox that is nearly full.
      if (replaced !== undefined) this.#mailboxes.discard(tx, account, replaced.mailbox, [replaced.uid])
      return ready.map(({ item, messageId, replaces }) => {
        const [uid] = this.#mailboxes.append(tx, account, mailbox, [item])
        if (replaces !== undefined) this.#mailboxes.discard(tx, account, replaces.mailbox, [replaces.uid])
        if (messageId !== undefined)
          tx.afterCommit(() => this.#remember(account, messageId, { mailbox, uid: uid!, by: 'client' }))
        return uid!
      })
    })
  }

  /** The gateway's copy, if that is what is there. */
  async #ownCopy(account: Identity, mailbox: MailboxId, messageId: string): Promise<SentCopy | undefined> {
    const known = this.#knownCopy(account, messageId)
    if (known?.mailbox === mailbox) return known.by === 'gateway' ? known : undefined
    return await this.#copyBeforeRestart(account, mailbox, messageId)
  }

  /** Among what was saved shortly before this process began: only that can be a copy that it has forgotten. */
  async #copyBeforeRestart(account: Identity, mailbox: MailboxId, messageId: string): Promise<SentCopy | undefined> {
    const from = this.#ambient.clock.nowMs() - limits.sentCopyMs
    if (from > this.#startedAtMs) return undefined
    for (const { uid, content, size } of this.#savedBetween(account, mailbox, from, this.#startedAtMs)) {
      if ((await this.#messageIdOf(account, content, size)) === messageId) return { mailbox, uid, by: 'gateway' }
    }
    return undefined
  }

  #savedBetween(
    account: Identity,
    mailbox: MailboxId,
    fromMs: number,
    toMs: number,
  ): readonly (StoredContent & { readonly uid: Uid })[] {
    const columns = this.#mailboxes.columns(account, mailbox)
    const found: (StoredContent & { readonly uid: Uid })[] = []
    for (let index = columns.count - 1; index >= 0 && columns.savedAt(index) >= fromMs; index -= 1) {
      if (columns.savedAt(index) > toMs) continue
      found.push({ uid: columns.uidAt(index), content: columns.contentAt(index), size: columns.sizeAt(index) })
    }
    return found
  }

  #knownCopy(account: Identity, messageId: string): SentCopy | undefined {
    const name = account + messageId
    return this.#known.get(name) ?? this.#older.get(name)
  }

  /** 2026-11: not one map that loses its first key each time, which steps over every key that was lost before: 3 µs a mail. */
  #remember(account: Identity, messageId: string, copy: SentCopy): void {
    this.#known.set(account + messageId, copy)
    if (this.#known.size < limits.sentCopiesMax / 2) return
    this.#older = this.#known
    this.#known = new Map()
  }

  async #messageIdOf(account: Identity, content: ContentId, size: number): Promise<string | undefined> {
    const pieces: Uint8Array[] = []
    const to = Math.min(size, limits.mailHeaderBytesMax)
    for await (const piece of this.#mailboxes.read(account, content, { from: 0, to })) pieces.push(piece)
    const field = parseHeaders(concat(...pieces)).fields.find(({ name }) => name === 'message-id')
    return field === undefined ? undefined : messageIdText(field.value)
  }
}

/**
 * The last step of every message: into a mailbox of the account, in the caller's transaction, once. From must be
 * exactly one mailbox that is bound to the sending identity here; everything else goes to Requests, wrapped.
 */
import { concat, fromUtf8 } from '../bytes.ts'
import type { Ambient } from '../ambient.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { Address, Identity, MailboxId } from '../ids.ts'
import type {
  AppendItem,
  AppendOptions,
  CopyMark,
  Flag,
  MailboxInfo,
  Mailboxes,
  StoredContent,
} from '../mailbox/mailbox.ts'
import { type Tier, tierWords } from '../identity/trust.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { falseFromWrapper, notice, traceBlock } from './compose.ts'
import type { ReversePath } from '../message/part.ts'
import type { DeliveryCounts } from './counts.ts'
import type { Refusal } from './items.ts'
import type { Directory, SenderStanding } from './needs.ts'
import { type Copies, copyOfMail } from '../replica/copies.ts'
import { nextNotice } from './request-notices.ts'
import { soleSender } from './sender.ts'
import type { ReceivedMessage, Tombstones } from './tombstones.ts'

export const requestsMailbox = 'Requests'

/** The content of an arrived mail: in hand, or stored already with its trace block in front. */
export type ArrivedContent =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | { readonly kind: 'stored'; readonly stored: StoredContent; readonly head: Uint8Array }

export interface ArrivedMail extends ReceivedMessage {
  readonly from: ReversePath
  readonly content: ArrivedContent
}

export type Delivered =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'refused'; readonly reason: Refusal }

/** What the From of a mail is worth here. */
type Judged =
  | (Extract<SenderStanding, { kind: 'bound' | 'request' }> & { readonly sender: Address })
  | Extract<SenderStanding, { kind: 'false' | 'blocked' }>

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
/** The current tier of a mail's sender, for mail programs. @param word of `wordOf`, or `false` */
export const tierKeyword = (word: string): Flag => `$MyceliumTrust-${word}`
export const wordOf = (tier: Tier | 'local'): string => (tier === 'local' ? tier : tierWords[tier])

export class Deliverer {
  readonly #mailboxes: Mailboxes
  readonly #directory: Directory
  readonly #tombstones: Tombstones
  readonly #ambient: Ambient
  readonly #counts: DeliveryCounts
  readonly #copies: Copies

  constructor(parts: {
    readonly copies: Copies
    readonly mailboxes: Mailboxes
    readonly directory: Directory
    readonly tombstones: Tombstones
    readonly ambient: Ambient
    readonly counts: DeliveryCounts
  }) {
    this.#mailboxes = parts.mailboxes
    this.#directory = parts.directory
    this.#tombstones = parts.tombstones
    this.#ambient = parts.ambient
    this.#counts = parts.counts
    this.#copies = parts.copies
  }

  /** The key under which (author, id) is remembered at this account. */
  tombstoneOf(tx: ReadTx, message: ReceivedMessage): Uint8Array {
    return this.#tombstones.keyOf(tx, message)
  }

  /** Has this account ever taken it? Answers through expunge, for the life of the tombstone. */
  hasTaken(tx: ReadTx, tombstone: Uint8Array): boolean {
    return this.#tombstones.has(tx, tombstone)
  }

  /** What goes around the sent bytes when they are stored: trace fields in front, or a warning on both sides. */
  frame(
    tx: ReadTx,
    mail: Pick<ArrivedMail, 'account' | 'author' | 'from'>,
    head: Uint8Array,
  ): { readonly before: Uint8Array; readonly after: Uint8Array } {
    return this.#frameFor(tx, mail, this.#judge(tx, mail, head))
  }

  deliver(tx: WriteTx, mail: ArrivedMail): Delivered {
    const tombstone = this.tombstoneOf(tx, mail)
    return this.hasTaken(tx, tombstone) ? { kind: 'duplicate' } : this.take(tx, mail, tombstone)
  }

  /** As `deliver`, for mail that the caller knows not to have been taken before. */
  take(tx: WriteTx, mail: ArrivedMail, tombstone: Uint8Array): Delivered {
    const head = mail.content.kind === 'inline' ? mail.content.bytes : mail.content.head
    const standing = this.#judge(tx, mail, head)
    if (standing.kind === 'blocked') return { kind: 'refused', reason: 'blocked' }
    const copy = copyOfMail(mail.account, mail.author, mail.id, mail.sentAtMs)
    const known = this.#copies.arriving(tx, mail.account, copy)
    // another device had it first and this one has it from there, or a person has removed it there
    if (known === 'taken') {
      this.#tombstones.put(tx, tombstone)
      return { kind: 'duplicate' }
    }
    try {
      if (known === 'unknown') this.#append(tx, mail, standing, copy)
      else this.#appendKnown(tx, mail, standing, { copy, ...known })
    } catch (error) {
      if (hasCode(error, 'mailbox-full') || hasCode(error, 'too-large'))
        return { kind: 'refused', reason: 'mailbox-full' }
      throw error
    }
    this.#tombstones.put(tx, tombstone)
    tx.afterCommit(() => (this.#counts.received += 1))
    return { kind: 'accepted' }
  }

  /** A mail written by the gateway, into INBOX; also into a full one, or the account could not be told that it is full. */
  deliverOwn(tx: WriteTx, account: Identity, bytes: Uint8Array): void {
    const stored = this.#mailboxes.storeInline(tx, account, bytes)
    const item = { ...stored, flags: [], internalDateMs: this.#ambient.clock.nowMs() }
    this.#appendTo(tx, account, 'INBOX', item, { beyondQuota: true })
  }

  /** A long one that has a short form to put in its place. @throws `mailbox-full` */
  deliverOwnStored(tx: WriteTx, account: Identity, stored: StoredContent): void {
    const item = { ...stored, flags: [], internalDateMs: this.#ambient.clock.nowMs() }
    this.#appendTo(tx, account, 'INBOX', item)
  }

  /** Another device has said already where it is and which flags it has. */
  #appendKnown(
    tx: WriteTx,
    mail: ArrivedMail,
    standing: Judged,
    { mailbox, ...item }: { readonly mailbox: MailboxId } & Pick<AppendItem, 'flags' | 'copy'>,
  ): void {
    const internalDateMs = this.#ambient.clock.nowMs()
    const stored = this.#store(tx, mail, standing)
    this.#mailboxes.append(tx, mail.account, mailbox, [{ ...stored, ...item, internalDateMs }])
  }

  #append(tx: WriteTx, mail: ArrivedMail, standing: Judged, copy: CopyMark): void {
    const internalDateMs = this.#ambient.clock.nowMs()
    const stored = { ...this.#store(tx, mail, standing), copy }
    switch (standing.kind) {
      case 'bound':
        this.#appendTo(tx, mail.account, 'INBOX', {
          ...stored,
          copy: { ...copy, weight: 1 },
          flags: [tierKeyword(wordOf(standing.tier))],
          internalDateMs,
        })
        return
      case 'request':
        this.noticeOnce(tx, mail, standing.sender)
        this.#appendTo(tx, mail.account, requestsMailbox, {
          ...stored,
          flags: [tierKeyword('unverified')],
          internalDateMs,
        })
        return
      case 'false':
      case 'blocked':
        this.#appendTo(tx, mail.account, requestsMailbox, { ...stored, flags: [tierKeyword('false')], internalDateMs })
    }
  }

  #store(tx: WriteTx, mail: ArrivedMail, standing: Judged): StoredContent {
    if (mail.content.kind === 'stored') return mail.content.stored
    const { before, after } = this.#frameFor(tx, mail, standing)
    return this.#mailboxes.storeInline(tx, mail.account, concat(before, mail.content.bytes, after))
  }

  #frameFor(
    tx: ReadTx,
    mail: Pick<ArrivedMail, 'account' | 'author' | 'from'>,
    standing: Judged,
  ): { readonly before: Uint8Array; readonly after: Uint8Array } {
    const nowMs = this.#ambient.clock.nowMs()
    if (standing.kind === 'bound' || standing.kind === 'request') {
      // the address outside the letter is the sender's word too: it stands only where it is theirs
      const isTheirs =
        mail.from === '' ||
        mail.from === standing.sender ||
        this.#directory.standing(tx, mail.account, mail.author, mail.from).kind === standing.kind
      const from = isTheirs ? mail.from : standing.sender
      return {
        before: traceBlock({ from, header: standing.sender, tier: wordOf(tierOf(standing)), nowMs }),
        after: new Uint8Array(),
      }
    }
    const context = { nowMs, token: this.#ambient.random.bytes(16) }
    return falseFromWrapper(
      context,
      this.#directory.primaryAddress(mail.account),
      `identity ${mail.author.slice(0, 16)}`,
    )
  }

  #judge(tx: ReadTx, mail: Pick<ArrivedMail, 'account' | 'author' | 'from'>, head: Uint8Array): Judged {
    const sender = soleSender(head)
    const standing = this.#directory.standing(tx, mail.account, mail.author, sender ?? mail.from)
    if (standing.kind === 'blocked') return standing
    return sender === undefined || standing.kind === 'false' ? { kind: 'false' } : { ...standing, sender }
  }

  /** One notice in INBOX for each stranger, however many mails they send; one for all when many strangers come. */
  noticeOnce(tx: WriteTx, { account, author }: Pick<ArrivedMail, 'account' | 'author'>, sender: Address): void {
    const key = tx.opaque(fromUtf8('request-notice'), raw(account), raw(author))
    if (this.#tombstones.has(tx, key)) return
    this.#tombstones.put(tx, key)
    const nowMs = this.#ambient.clock.nowMs()
    const said = nextNotice(tx, account, { sender, author, nowMs })
    if (said === undefined) return
    const context = { nowMs, token: this.#ambient.random.bytes(16) }
    this.deliverOwn(tx, account, notice(context, this.#directory.primaryAddress(account), said.subject, said.text))
  }

  /** A person may have removed the folder for strangers: they do not get into the inbox by that. */
  strangersMailbox(account: Identity): MailboxInfo {
    return this.#mailboxNamed(account, requestsMailbox)
  }

  #appendTo(tx: WriteTx, account: Identity, name: string, item: AppendItem, options: AppendOptions = {}): void {
    this.#mailboxes.append(tx, account, this.#mailboxNamed(account, name).id, [item], options)
  }

  #mailboxNamed(account: Identity, name: string): MailboxInfo {
    const mailbox =
      this.#mailboxes.byName(account, name) ??
      this.#mailboxes.bySpecialUse(account, '\\Junk') ??
      this.#mailboxes.byName(account, 'INBOX')
    if (mailbox === undefined) throw new MyceliumError('no-such-mailbox')
    return mailbox
  }
}

const tierOf = (standing: Judged): 'local' | Extract<SenderStanding, { kind: 'bound' }>['tier'] =>
  standing.kind === 'bound' ? standing.tier : 'claimed'

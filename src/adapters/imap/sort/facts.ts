/**
 * What sorting and threading want to know of a message, read once from its header: collation keys, the date, and
 * Message-IDs as small numbers. A message never changes, so this stays true for its mailbox and UID.
 */
import { hasCode } from '../../../core/errors.ts'
import type { MailboxId, Uid } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { type AddressEntry, type HeaderField, parseAddressEntries } from '../../../core/message/header.ts'
import { decodeWords } from '../../../core/message/mime-words.ts'
import { headerFields } from '../header-fields.ts'
import { chooseFields } from '../listed-fields.ts'
import type { Session } from '../session.ts'
import { baseSubject } from './base-subject.ts'
import { collationKey } from './casemap.ts'
import { messageIds } from './message-ids.ts'
import { sentDate } from './sent-date.ts'

export interface Facts {
  /** The Date field, or the internal date where that names no day (RFC 5256 §2.2). */
  readonly sentMs: number
  /** Of the base subject. */
  readonly subject: string
  /** The subject says that it is a reply or a forward. */
  readonly isReply: boolean
  readonly from: string
  readonly to: string
  readonly cc: string
  readonly displayFrom: string
  readonly displayTo: string
  /** 0 where there is none. */
  readonly id: number
  /** Oldest first. */
  readonly references: readonly number[]
}

const fields = chooseFields(['date', 'subject', 'from', 'to', 'cc', 'message-id', 'references', 'in-reply-to'])!

const factsBytes = 200 // ours: an entry and its numbers
const textBytes = 80 // ours: an entry of a map, without its text

/** The facts of one mailbox: numbers of Message-IDs hold within it. */
export class FactsBook {
  readonly #mailbox: MailboxId
  readonly #facts = new Map<Uid, Facts>()
  /** The same few correspondents write and are written to: each key is kept once. */
  readonly #texts = new Map<string, string>()
  readonly #ids = new Map<string, number>()
  #weight = 0

  constructor(mailbox: MailboxId) {
    this.#mailbox = mailbox
  }

  /** About what it takes in memory, octets. */
  get weight(): number {
    return this.#weight
  }

  /** `undefined` when the message is gone. */
  of(session: Session, uid: Uid): Facts | undefined | Promise<Facts | undefined> {
    const known = this.#facts.get(uid)
    if (known !== undefined) return known
    const columns = session.mailboxes.columns(session.account, this.#mailbox)
    const index = columns.indexOf(uid)
    if (index < 0) return undefined
    const arrivedMs = columns.internalDateAt(index)
    const header = headerFields(session, { mailbox: this.#mailbox, uid }, fields)
    return header instanceof Promise ? this.#later(uid, header, arrivedMs) : this.#keep(uid, header, arrivedMs)
  }

  async #later(uid: Uid, header: Promise<readonly HeaderField[]>, arrivedMs: number): Promise<Facts | undefined> {
    try {
      return this.#keep(uid, await header, arrivedMs)
    } catch (error) {
      if (hasCode(error, 'no-such-message')) return undefined
      throw error
    }
  }

  #keep(uid: Uid, header: readonly HeaderField[], arrivedMs: number): Facts {
    const value = (name: string): string => header.find((field) => field.name === name)?.value ?? ''
    const { base, isReply } = baseSubject(value('subject'))
    const [from, to, cc] = [firstAddress(value('from')), firstAddress(value('to')), firstAddress(value('cc'))]
    const references = messageIds(value('references'))
    const parents = references.length > 0 ? references : messageIds(value('in-reply-to')).slice(0, 1)
    const [id] = messageIds(value('message-id'))
    const facts: Facts = {
      sentMs: sentDate(value('date')) ?? arrivedMs,
      subject: this.#key(base),
      isReply,
      from: this.#key(localPart(from)),
      to: this.#key(localPart(to)),
      cc: this.#key(localPart(cc)),
      displayFrom: this.#key(displayName(from)),
      displayTo: this.#key(displayName(to)),
      id: id === undefined ? 0 : this.#number(id),
      references: parents.slice(-this.#referencesMax).map((parent) => this.#number(parent)),
    }
    this.#facts.set(uid, facts)
    this.#weight += factsBytes + facts.references.length * 8
    return facts
  }

  /** Whoever names more messages than a mailbox has is believed about the parent only. */
  get #referencesMax(): number {
    return this.#ids.size < limits.imapThreadIdsMax ? limits.imapThreadReferencesMax : 1
  }

  #key(text: string): string {
    const key = collationKey(text)
    const known = this.#texts.get(key)
    if (known === undefined) {
      this.#texts.set(key, key)
      this.#weight += textBytes + key.length
    }
    return known ?? key
  }

  #number(id: string): number {
    let number = this.#ids.get(id)
    if (number === undefined) {
      number = this.#ids.size + 1
      this.#ids.set(id, number)
      this.#weight += textBytes + id.length
    }
    return number
  }
}

/** Books of all mailboxes, least recently opened first out. */
export class FactsLibrary {
  readonly #books = new Map<MailboxId, FactsBook>()

  /** One command uses one book throughout, even when others drop it meanwhile. */
  open(mailbox: MailboxId): FactsBook {
    const book = this.#books.get(mailbox) ?? new FactsBook(mailbox)
    this.#books.delete(mailbox)
    this.#books.set(mailbox, book)
    return book
  }

  /** After a command: keeps no more than limits.ts allows. */
  tidy(): void {
    let weight = 0
    for (const book of this.#books.values()) weight += book.weight
    for (const [mailbox, book] of this.#books) {
      if (weight <= limits.imapFactsBytesMax) return
      weight -= book.weight
      this.#books.delete(mailbox)
    }
  }
}

const firstAddress = (list: string): AddressEntry | undefined =>
  list === '' ? undefined : parseAddressEntries(list.slice(0, addressCharsMax))[0]
const addressCharsMax = 4096 // ours: only the first address counts

/** `addr-mailbox` of an envelope: the local part, or the name of a group. */
function localPart(entry: AddressEntry | undefined): string {
  if (entry === undefined || entry.kind === 'group-end') return ''
  return entry.kind === 'group-start' ? entry.name : entry.local
}

/** RFC 5957 §3: the name where there is one, else the address. */
function displayName(entry: AddressEntry | undefined): string {
  if (entry === undefined || entry.kind === 'group-end') return ''
  if (entry.kind === 'group-start') return decodeWords(entry.name)
  if (entry.name !== undefined && entry.name !== '') return decodeWords(entry.name)
  return entry.domain === undefined ? entry.local : `${entry.local}@${entry.domain}`
}

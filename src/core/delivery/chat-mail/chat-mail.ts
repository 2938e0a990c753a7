/**
 * Conversations as mail programs see them: each message that is shown becomes a mail, in the transaction that shows it.
 * What is said about it later puts another mail in its place, with its flags; one that the person moved or deleted is
 * theirs, and stays as it is. What is where: docs/chat-in-mail.md.
 */
import { compare } from '../../bytes.ts'
import type { Conversations } from '../../conversation/conversations.ts'
import { idOfPartner } from '../../conversation/conversations.ts'
import { aboutOf, type Arriving, hasBody } from '../../conversation/history.ts'
import type { MessageRow, Partner, RenderingRow } from '../../conversation/rows.ts'
import { type ShownMessage, viewMessage } from '../../conversation/view.ts'
import { hasCode, unreachable } from '../../errors.ts'
import type { Address, ContentId, ConversationId, Identity, MailboxId, MessageId, Uid } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { AppendItem, Flag, Mailboxes, MailboxWriter, StoredContent } from '../../mailbox/mailbox.ts'
import { parentsOf } from '../../mailbox/names.ts'
import type { Message } from '../../message/message.ts'
import type { Copies } from '../../replica/copies.ts'
import type { ReadTx, WriteTx } from '../../store/store.ts'
import { type Deliverer, tierKeyword, wordOf } from '../deliver.ts'
import type { Directory, Keyring } from '../needs.ts'
import { isCallStart } from './calls.ts'
import { copyOfRendering, type Rendered } from './copy-of-rendering.ts'
import { freeName, safeLevel } from './folder-names.ts'
import type { ChatGroups } from './groups.ts'
import { mailMessageId } from './ids.ts'
import { type Correspondent, directSubject, renderAround, renderChat, type RenderInput } from './rendering.ts'

export interface ChatMailParts {
  readonly mailboxes: Mailboxes
  readonly conversations: Conversations
  readonly directory: Directory
  readonly keyring: Pick<Keyring, 'contact'>
  readonly deliverer: Pick<Deliverer, 'noticeOnce' | 'strangersMailbox'>
  readonly groups: ChatGroups
  readonly copies: Pick<Copies, 'arriving' | 'placeOf'>
  /** The file of a message is here, and its mail is to get it: `aroundFile`, `putFile`. */
  readonly onFileHere: (tx: WriteTx, account: Identity, id: MessageId) => void
  /** After the commit: this account has mails of conversations. */
  readonly onRendered: (account: Identity) => void
}

/** A correspondent, and how well it is known that the address is theirs. */
interface Author {
  readonly who: Correspondent
  /** `undefined` of the account itself. */
  readonly trust: { readonly tier: string; readonly isBound: boolean } | undefined
}

/** What stands around a stored file in its mail. */
export interface AroundFile {
  readonly stored: ContentId
  readonly before: Uint8Array
  readonly after: Uint8Array
}

const editedKeyword: Flag = '$MyceliumEdited'
const reactionKeyword: Flag = '$MyceliumReaction'
const redactedKeyword: Flag = '$MyceliumTakenBack'
const failedKeyword: Flag = '$MyceliumFailed'
const stateKeywords: ReadonlySet<Flag> = new Set([editedKeyword, reactionKeyword, redactedKeyword, failedKeyword])

/** Anything else would put octets beyond ASCII into fields of other mails. */
const visibleAscii = /^[\x21-\x7e]+$/

/** What a mail takes besides the message in it, about: fields, and its words a second time as base64. */
const renderingBytes = (message: number): number => 2048 + message

export class ChatMail {
  readonly #parts: ChatMailParts
  /** Own messages that a mail program has sent, and in which mail: Sent has them as they were sent. */
  readonly #fromMail = new WeakMap<Arriving, string>()

  constructor(parts: ChatMailParts) {
    this.#parts = parts
    parts.conversations.whenShown((...shown) => this.#shown(...shown))
    parts.conversations.whenChanged((tx, account, id) => this.#replace(tx, account, id))
    parts.conversations.whenRead((tx, account, conversation, read) => this.#read(tx, account, conversation, read))
  }

  /** Is there room for it as a mail? What is said about a message takes the place of a mail, and needs none. */
  hasRoom(tx: WriteTx, account: Identity, { message, encoded }: Arriving): boolean {
    return !hasBody(message) || this.hasRoomFor(tx, account, encoded.length)
  }

  /** The same of a message of so many octets that cannot be read yet. */
  hasRoomFor(tx: WriteTx, account: Identity, bytes: number): boolean {
    return !this.#parts.mailboxes.writer(tx, account).isFull(renderingBytes(bytes))
  }

  /** To be said before it is shown: it was submitted as a mail. @param messageId without angle brackets */
  cameAsMail(arriving: Arriving, messageId: string): void {
    this.#fromMail.set(arriving, messageId)
  }

  /** What a report of a chat that nobody took returns; `undefined` where a chat program shows that, or nobody could. */
  returned(tx: ReadTx, account: Identity, id: MessageId): Uint8Array | undefined {
    const { conversations } = this.#parts
    if (conversations.settingsIn(tx, account).hasChatClient) return undefined
    const message = viewMessage(tx, conversations.history, account, id)
    const partner = message && this.#partnerOf(tx, account, message.conversation)
    const hasWords = message?.text !== undefined || message?.file !== undefined
    return hasWords && partner?.kind === 'direct' ? this.#render(tx, account, partner, message).bytes : undefined
  }

  #shown(tx: WriteTx, account: Identity, { state }: MessageRow, arriving: Arriving): void {
    if (state !== 'shown') return
    const { id, message } = arriving
    const about = aboutOf(message)
    if (about !== undefined) {
      this.#replace(tx, account, about.target)
      return
    }
    const call = message.parts.find((part) => part.kind === 'call')
    if (!hasBody(message) || (call !== undefined && !isCallStart(call))) return
    const partner = partnerOfMessage(account, message)
    const shown = viewMessage(tx, this.#parts.conversations.history, account, id)
    if (partner === undefined || shown === undefined) return
    const { bytes, author } = this.#render(tx, account, partner, shown)
    if (isAwaited(shown) && shown.file?.stored !== undefined) this.#parts.onFileHere(tx, account, id)
    const mailbox = this.#mailboxFor(tx, account, { partner, arriving, author })
    if (mailbox === undefined) {
      const sentAs = this.#fromMail.get(arriving)
      if (sentAs !== undefined && visibleAscii.test(sentAs))
        this.#parts.conversations.setSentAs(tx, account, id, sentAs)
      return
    }
    this.#append(tx, account, { id, isWithFile: false }, mailbox, {
      ...this.#parts.mailboxes.storeInline(tx, account, bytes),
      internalDateMs: shown.receivedAtMs,
      flags: [
        ...(message.author === account ? ['\\Seen'] : []),
        ...(author.trust === undefined ? [] : [tierKeyword(author.trust.tier)]),
      ],
    })
    tx.afterCommit(() => this.#parts.onRendered(account))
  }

  /** Another mail where one is, or none for what is shown no more; nothing where the person has moved it away. */
  #replace(tx: WriteTx, account: Identity, id: MessageId): void {
    const { mailboxes, conversations } = this.#parts
    const place = conversations.rendering(tx, account, id)
    const known = place && mailboxes.writer(tx, account).message(place.mailbox, place.uid)
    const message = viewMessage(tx, conversations.history, account, id)
    if (place !== undefined && known !== undefined && message === undefined)
      mailboxes.discard(tx, account, place.mailbox, [place.uid])
    const partner = message && this.#partnerOf(tx, account, message.conversation)
    if (place === undefined || known === undefined || message === undefined || partner === undefined) return
    const { bytes } = this.#render(tx, account, partner, message)
    const stored = mailboxes.storeInline(tx, account, bytes)
    if (isAwaited(message) && message.file?.stored !== undefined) this.#parts.onFileHere(tx, account, id)
    this.#put(tx, account, { message, isWithFile: false }, { ...place, ...known }, stored)
  }

  /** A mail around a file that is here and too long for the message itself; `undefined` when no mail is to hold it (any more). */
  aroundFile(tx: ReadTx, account: Identity, id: MessageId): AroundFile | undefined {
    const { conversations } = this.#parts
    const message = viewMessage(tx, conversations.history, account, id)
    const partner = message && this.#partnerOf(tx, account, message.conversation)
    const stored = message?.file?.stored
    if (message === undefined || partner === undefined || stored === undefined || !isAwaited(message)) return undefined
    if (conversations.rendering(tx, account, id) === undefined) return undefined
    return { stored, ...renderAround({ ...this.#inputFor(tx, account, partner, message).input, file: 'inside' }) }
  }

  /** The mail with its file, in the place of the one without; unless that was moved away or says something else now. */
  putFile(tx: WriteTx, account: Identity, id: MessageId, around: AroundFile, mail: StoredContent): void {
    const { mailboxes, conversations } = this.#parts
    const place = conversations.rendering(tx, account, id)
    const known = place && mailboxes.writer(tx, account).message(place.mailbox, place.uid)
    const message = viewMessage(tx, conversations.history, account, id)
    const now = this.aroundFile(tx, account, id)
    if (place === undefined || known === undefined || message === undefined || now === undefined) return
    if (compare(now.before, around.before) === 0)
      this.#put(tx, account, { message, isWithFile: true }, { ...place, ...known }, mail)
    else this.#parts.onFileHere(tx, account, id)
  }

  #put(
    tx: WriteTx,
    account: Identity,
    { message, isWithFile }: { readonly message: ShownMessage; readonly isWithFile: boolean },
    place: RenderingRow & { readonly flags: readonly Flag[]; readonly internalDateMs: number },
    stored: StoredContent,
  ): void {
    const { mailbox, uid, flags, internalDateMs } = place
    // what nobody took is to be looked at again
    const kept = flags.filter((flag) => !stateKeywords.has(flag) && !(flag === '\\Seen' && message.fate === 'failed'))
    this.#parts.mailboxes.discard(tx, account, mailbox, [uid])
    this.#append(tx, account, { id: message.id, isWithFile }, mailbox, {
      ...stored,
      internalDateMs,
      flags: [...kept, ...stateOf(message)],
    })
  }

  /** Where another device has brought this very mail already, or its person has deleted it there, that counts. */
  #append(tx: WriteTx, account: Identity, rendered: Rendered, mailbox: MailboxId, item: AppendItem): void {
    const { mailboxes, conversations, copies } = this.#parts
    const copy = copyOfRendering(tx, conversations.history, account, rendered)
    const known = copy === undefined ? 'unknown' : copies.arriving(tx, account, copy)
    if (copy !== undefined && known === 'taken') {
      const place = copies.placeOf(tx, account, copy.id)
      if (place !== undefined) conversations.setRendering(tx, account, rendered.id, place)
      return
    }
    const target = known === 'unknown' || known === 'taken' ? { mailbox, flags: item.flags } : known
    const marked = copy === undefined ? item : { ...item, copy }
    const append = (flags: readonly Flag[]): readonly Uid[] | undefined =>
      unlessTooMany(() => mailboxes.append(tx, account, target.mailbox, [{ ...marked, flags }], { beyondQuota: true }))
    // whether there is room was asked before the message was taken; a mailbox with too many keywords has it without
    const [uid] =
      append(target.flags) ?? append(target.flags.filter((flag) => flag.startsWith('\\'))) ?? append([]) ?? []
    if (uid !== undefined) conversations.setRendering(tx, account, rendered.id, { mailbox: target.mailbox, uid })
  }

  /** What the account has read in a chat program is read in mail. */
  #read(
    tx: WriteTx,
    account: Identity,
    conversation: ConversationId,
    read: { readonly from: number; readonly to: number },
  ): void {
    const { mailboxes, conversations } = this.#parts
    const places = conversations
      .numbered(tx, account, conversation, read)
      .flatMap((id) => conversations.rendering(tx, account, id) ?? [])
    const writer = mailboxes.writer(tx, account)
    for (const [mailbox, of] of Map.groupBy(places, (place) => place.mailbox)) {
      const uids = of.map(({ uid }) => uid)
      if (writer.has(mailbox)) unlessTooMany(() => writer.setFlags(mailbox, uids, { mode: 'add', flags: ['\\Seen'] }))
    }
  }

  /** `undefined` where mail has it already. */
  #mailboxFor(
    tx: WriteTx,
    account: Identity,
    { partner, arriving, author }: { readonly partner: Partner; readonly arriving: Arriving; readonly author: Author },
  ): MailboxId | undefined {
    const { mailboxes, conversations, keyring, directory, deliverer } = this.#parts
    const conversation = idOfPartner(account, partner)
    if (partner.kind === 'group') {
      const group = this.#parts.groups.groupOf(account, partner.group)
      if (this.#parts.groups.isAsked(tx, account, partner.group)) {
        deliverer.noticeOnce(tx, { account, author: arriving.message.author }, author.who.address)
        return deliverer.strangersMailbox(account).id
      }
      const name = group?.name ?? ''
      return this.#folder(tx, account, conversation, 'Groups', safeLevel(name, partner.group.slice(0, 16)))
    }
    const { peer } = partner
    const isOwn = arriving.message.author === account
    const state = directory.isOwn(peer) ? undefined : keyring.contact(account, peer)?.state
    if (!isOwn && (state === 'request' || state === 'fellow')) {
      deliverer.noticeOnce(tx, { account, author: peer }, author.who.address)
      return deliverer.strangersMailbox(account).id
    }
    if (conversations.settingsIn(tx, account).hasChatClient) {
      const name = this.#nameOf(account, peer, partner)
      return this.#folder(tx, account, conversation, 'Chats', safeLevel(name, peer.slice(0, 16)))
    }
    if (!isOwn) return mailboxes.byName(account, 'INBOX')?.id
    return this.#fromMail.has(arriving) ? undefined : mailboxes.bySpecialUse(account, '\\Sent')?.id
  }

  /** Where its person has put it; made (again) where there is none. */
  #folder(
    tx: WriteTx,
    account: Identity,
    conversation: ConversationId,
    parent: 'Chats' | 'Groups',
    level: string,
  ): MailboxId | undefined {
    const { mailboxes, conversations } = this.#parts
    const writer = mailboxes.writer(tx, account)
    const known = conversations.folder(tx, account, conversation)
    if (known !== undefined && writer.has(known)) return known
    const names = writer.names()
    const others = conversations.folders(tx, account)
    // a folder of this name that is no other conversation's is taken: the person made it, or had another one before
    const there = names.get(`${parent}/${level}`)
    const made =
      there !== undefined && !others.has(there)
        ? there
        : unlessTooMany(() => createSubscribed(writer, freeName(parent, level, new Set(names.keys()))))
    if (made === undefined) return mailboxes.byName(account, 'INBOX')?.id
    conversations.setFolder(tx, account, conversation, made)
    return made
  }

  #partnerOf(tx: ReadTx, account: Identity, conversation: ConversationId): Partner | undefined {
    return this.#parts.conversations.history.conversation(tx, account, conversation)?.partner
  }

  #render(
    tx: ReadTx,
    account: Identity,
    partner: Partner,
    message: ShownMessage,
  ): { readonly bytes: Uint8Array; readonly author: Author } {
    const { input, author } = this.#inputFor(tx, account, partner, message)
    return { bytes: renderChat(input), author }
  }

  #inputFor(
    tx: ReadTx,
    account: Identity,
    partner: Partner,
    message: ShownMessage,
  ): { readonly input: RenderInput; readonly author: Author } {
    const author = this.#author(tx, account, message.author, partner)
    const own = this.#author(tx, account, account, partner).who
    const { to, subject } = this.#addressing(tx, account, { partner, own, isOwn: message.author === account })
    const trust = author.trust && { ...author.trust, nowMs: message.receivedAtMs }
    const nameOf = (identity: Identity): string => this.#nameOf(account, identity, partner)
    const isBlob = message.file?.part.content.kind === 'blob'
    const file = isAwaited(message) ? 'awaited' : isBlob ? 'too-long' : 'inside'
    const mailIdOf = (id: MessageId): string => mailMessageId(this.#parts.conversations.sentAs(tx, account, id), id)
    return { input: { message, from: author.who, trust, to, subject, file, nameOf, mailIdOf }, author }
  }

  #addressing(
    tx: ReadTx,
    account: Identity,
    { partner, own, isOwn }: { readonly partner: Partner; readonly own: Correspondent; readonly isOwn: boolean },
  ): Pick<RenderInput, 'to' | 'subject'> {
    switch (partner.kind) {
      case 'direct': {
        const other = this.#author(tx, account, partner.peer, partner).who
        return { to: isOwn ? other : own, subject: directSubject(other.name) }
      }
      case 'group': {
        const { group } = partner
        const known = this.#parts.groups.groupOf(account, group)
        const name = known?.name ?? `Group ${group.slice(0, 16)}`
        const address = known?.address ?? (`${group.slice(0, 16)}@group.invalid` as Address)
        return { to: { group, name, address }, subject: name }
      }
      default:
        return unreachable(partner)
    }
  }

  /** An address stands in From only where nobody else is known by it here. */
  #author(tx: ReadTx, account: Identity, identity: Identity, partner: Partner): Author {
    const { directory } = this.#parts
    const name = this.#nameOf(account, identity, partner)
    if (identity === account) return { who: { name, address: directory.primaryAddress(account) }, trust: undefined }
    const address = directory.addressOf(account, identity)
    const standing = directory.standing(tx, account, identity, address)
    if (standing.kind === 'bound')
      return { who: { name, address }, trust: { tier: wordOf(standing.tier), isBound: true } }
    if (standing.kind === 'request')
      return { who: { name, address }, trust: { tier: wordOf('claimed'), isBound: true } }
    const claimed = this.#member(account, identity, partner)?.address
    if (claimed !== undefined && this.#isNobodyElses(account, claimed))
      return { who: { name, address: claimed }, trust: { tier: wordOf('claimed'), isBound: false } }
    const unnamed = `${identity.slice(0, 16)}@identity.invalid` as Address
    return { who: { name, address: unnamed }, trust: { tier: 'false', isBound: false } }
  }

  #isNobodyElses(account: Identity, address: Address): boolean {
    const route = this.#parts.directory.route(account, address)
    return route.kind === 'refused' && route.code === 'no-such-recipient'
  }

  #member(account: Identity, identity: Identity, partner: Partner) {
    if (partner.kind === 'direct') return undefined
    const group = this.#parts.groups.groupOf(account, partner.group)
    return group?.members.find((member) => member.identity === identity)
  }

  #nameOf(account: Identity, identity: Identity, partner: Partner): string {
    return (
      this.#parts.directory.nameOf(account, identity) ??
      this.#member(account, identity, partner)?.name ??
      identity.slice(0, 16)
    )
  }
}

/** With those of its parents that were missing. */
function createSubscribed(writer: MailboxWriter, name: string): MailboxId {
  const before = writer.names()
  const made = writer.create(name)
  for (const one of [...parentsOf(name), name]) if (!before.has(one)) writer.subscribe(one, true)
  return made
}

/** `undefined` where the account has as many mailboxes, keywords or combinations of them as it may. */
function unlessTooMany<T>(change: () => T): T | undefined {
  try {
    return change()
  } catch (error) {
    if (hasCode(error, 'too-large')) return undefined
    throw error
  }
}

function partnerOfMessage(account: Identity, { author, place }: Message): Partner | undefined {
  if (place === undefined) return undefined
  if (place.kind === 'group') return place
  return { kind: 'direct', peer: author === account ? place.with : author }
}

/** It has a file that a mail can hold and the message itself does not. */
const isAwaited = ({ file }: ShownMessage): boolean =>
  file?.part.content.kind === 'blob' && file.part.content.size <= limits.chatFileInMailBytesMax

const stateOf = ({ editedAtMs, reactions, isRedacted, fate }: ShownMessage): readonly Flag[] => [
  ...(editedAtMs === undefined ? [] : [editedKeyword]),
  ...(reactions.length === 0 ? [] : [reactionKeyword]),
  ...(isRedacted ? [redactedKeyword] : []),
  ...(fate === 'failed' ? [failedKeyword] : []),
]

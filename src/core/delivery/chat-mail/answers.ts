/**
 * Which submitted mails are said in a conversation instead: every one to a group's address, and one to exactly the other
 * of a chat that it answers. Everything else is a mail. Decides only; who submits carries it out (submit.ts).
 */
import type { Conversations } from '../../conversation/conversations.ts'
import { idOfPartner } from '../../conversation/conversations.ts'
import { type ShownMessage, viewMessage } from '../../conversation/view.ts'
import { fromUtf8 } from '../../bytes.ts'
import { MyceliumError } from '../../errors.ts'
import type { GroupId, Identity } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { parseAddress } from '../../message/address.ts'
import { type Headers, parseMailboxList, valuesOf } from '../../message/header.ts'
import { cutToOctets, oneLine } from '../../message/mail-writing.ts'
import { decodeWords } from '../../message/mime-words.ts'
import type { BodyPart, Part } from '../../message/part.ts'
import type { Store } from '../../store/store.ts'
import type { Draft } from '../chat-post.ts'
import type { Files } from '../files.ts'
import type { Directory } from '../needs.ts'
import type { SubmissionRecipient } from '../submission.ts'
import type { ChatGroups } from './groups.ts'
import { messageOfId } from './ids.ts'
import { type MailFile, type MailWords, wordsOfMail } from './mail-words.ts'
import { type Answered, ownHtml, ownWords } from './own-words.ts'
import { directSubject, statedWords } from './rendering.ts'

export interface AnswersParts {
  readonly store: Store
  readonly conversations: Conversations
  readonly directory: Directory
  readonly groups: ChatGroups
  readonly files: Pick<Files, 'prepare'>
}

export interface SubmittedMail {
  readonly recipients: readonly SubmissionRecipient[]
  /** Whether it is to leave later, or its sender wants to hear nothing of it. */
  readonly isOrdinary: boolean
  readonly headers: Headers
  /** All of it as recipients get it; `undefined` when it is too long for any conversation. */
  readonly read: () => Promise<Uint8Array | undefined>
}

/** Files in it go with its scope, unless they were said. */
export interface Plan extends Disposable {
  readonly groups: readonly { readonly group: GroupId; readonly drafts: readonly Draft[] }[]
  readonly direct: { readonly peer: Identity; readonly drafts: readonly Draft[] } | undefined
  /** Those who get it as a mail. */
  readonly mail: readonly SubmissionRecipient[]
}

/** What is said: words in one message, each file in one of its own. */
interface Said {
  readonly body: readonly BodyPart[]
  readonly files: readonly MailFile[]
}

export class Answers {
  readonly #parts: AnswersParts

  constructor(parts: AnswersParts) {
    this.#parts = parts
  }

  /** @throws `message-too-large` for a group that could be given it neither as words nor as a file */
  async plan(account: Identity, mail: SubmittedMail): Promise<Plan> {
    const { groups } = this.#parts
    const resolved = mail.recipients.map((recipient) => ({
      recipient,
      group: groups.resolve(account, recipient.address),
    }))
    const to = new Set(resolved.flatMap(({ group }) => group ?? []))
    const others = resolved.filter(({ group }) => group === undefined).map(({ recipient }) => recipient)
    const { headers } = mail
    const answered = this.#answered(account, headers)
    const peer =
      to.size === 0 && mail.isOrdinary ? this.#answeredPeer(account, { headers, answered, others }) : undefined
    using scope = new DisposableStack()
    const asMail: Plan = { groups: [], direct: undefined, mail: others, [Symbol.dispose]: () => {} }
    if (to.size === 0 && peer === undefined) return asMail
    const bytes = await mail.read()
    const words = bytes && wordsOfMail(bytes)
    if (peer !== undefined) {
      const said = words && this.#said(account, words, answered, '')
      if (said === undefined) return asMail
      const drafts = await this.#drafts(account, said, answered, scope)
      const kept = scope.move()
      return { groups: [], direct: { peer, drafts }, mail: [], [Symbol.dispose]: () => kept.dispose() }
    }
    const subject = subjectOf(headers)
    const planned: { group: GroupId; drafts: readonly Draft[] }[] = []
    for (const group of to) {
      const conversation = idOfPartner(account, { kind: 'group', group })
      const here = answered?.conversation === conversation ? answered : undefined
      const said = this.#saidInGroup(account, { group, subject, words, answered: here, bytes })
      planned.push({ group, drafts: await this.#drafts(account, said, here, scope) })
    }
    const kept = scope.move()
    return { groups: planned, direct: undefined, mail: others, [Symbol.dispose]: () => kept.dispose() }
  }

  /** The message of a conversation that it says to answer. */
  #answered(account: Identity, headers: Headers): ShownMessage | undefined {
    const { store, conversations } = this.#parts
    const idsIn = (name: string): readonly string[] => valuesOf(headers, name).flatMap((value) => value.split(/\s+/))
    const named = [...idsIn('in-reply-to'), ...idsIn('references').toReversed()]
    const id = named.map(messageOfId).find((one) => one !== undefined)
    return id === undefined ? undefined : store.read((tx) => viewMessage(tx, conversations.history, account, id))
  }

  /** The other of the chat, where that is all whom the mail is to, in its envelope and in its header. */
  #answeredPeer(
    account: Identity,
    {
      headers,
      answered,
      others,
    }: {
      readonly headers: Headers
      readonly answered: ShownMessage | undefined
      readonly others: readonly SubmissionRecipient[]
    },
  ): Identity | undefined {
    const { conversations, directory } = this.#parts
    const partner = answered && conversations.get(account, answered.conversation)?.partner
    if (partner?.kind !== 'direct' || directSubject('') !== subjectOf(headers).slice(0, directSubject('').length))
      return undefined
    const shown = ['to', 'cc', 'bcc'].flatMap((name) => valuesOf(headers, name).flatMap(parseMailboxList))
    const addresses = [...shown.map(({ address }) => parseAddress(address)), ...others.map(({ address }) => address)]
    const isTheirs = addresses.every((address) => {
      const route = address && directory.route(account, address)
      if (route === undefined || route.kind === 'refused') return false
      return (route.kind === 'local' ? route.account : route.contact) === partner.peer
    })
    const asksMore = others.some(
      ({ notify }) => notify?.includes('success') === true || notify?.includes('delay') === true,
    )
    return isTheirs && shown.length > 0 && others.length > 0 && !asksMore ? partner.peer : undefined
  }

  #saidInGroup(
    account: Identity,
    mail: {
      readonly group: GroupId
      readonly subject: string
      readonly words: MailWords | undefined
      readonly answered: ShownMessage | undefined
      readonly bytes: Uint8Array | undefined
    },
  ): Said {
    const { group, subject, words, answered, bytes } = mail
    const name = oneLine(this.#parts.groups.groupOf(account, group)?.name ?? '')
    const said = words && this.#said(account, words, answered, subject === name ? '' : subject)
    if (said !== undefined) return said
    if (bytes === undefined) throw new MyceliumError('message-too-large')
    return { body: [], files: [wholeMail(subject, bytes)] }
  }

  /** The author's own words and files; `undefined` when they are too long, or there are none. */
  #said(account: Identity, words: MailWords, answered: ShownMessage | undefined, heading: string): Said | undefined {
    const quoted = answered && this.#quoted(account, answered)
    const own = ownWords(words.text, quoted)
    const text = heading === '' ? own : `${heading}\n\n${own}`.trim()
    const html = words.html === undefined || heading !== '' ? undefined : ownHtml(words.html, quoted)
    const isShort =
      fromUtf8(text).length <= limits.messageInlineBytesMax && fromUtf8(html ?? '').length <= limits.messageHtmlBytesMax
    const { files } = words
    if (!isShort || (text === '' && files.length === 0)) return undefined
    if (text === '') return { body: [], files }
    return { body: [{ kind: 'text', text }, ...(html === undefined ? [] : [{ kind: 'html', html } as const])], files }
  }

  /** The words, and each file, as a message of its own. @throws `mailbox-full`, `disk-full` */
  async #drafts(
    account: Identity,
    { body, files }: Said,
    answered: ShownMessage | undefined,
    scope: DisposableStack,
  ): Promise<readonly Draft[]> {
    const messages: (readonly Part[])[] = body.length === 0 ? [] : [body]
    const { signal } = new AbortController()
    for (const { name, mediaType, bytes } of files) {
      const options = { name, mediaType, bytes: bytes.length, signal }
      const prepared = await this.#parts.files.prepare(account, once(bytes), options)
      messages.push([scope.use(prepared).part])
    }
    return messages.map((parts, index) => ({ parts, ...(index === 0 ? relationTo(answered) : {}) }))
  }

  #quoted(account: Identity, answered: ShownMessage): Answered {
    const { directory, conversations, groups } = this.#parts
    const { author } = answered
    const partner = conversations.get(account, answered.conversation)?.partner
    const members = partner?.kind === 'group' ? groups.groupOf(account, partner.group)?.members : undefined
    const member = members?.find(({ identity }) => identity === author)
    const address = author === account ? directory.primaryAddress(account) : directory.addressOf(account, author)
    const names = [directory.nameOf(account, author), member?.name, address, member?.address]
    return {
      words: statedWords(answered),
      names: names.filter((name) => name !== undefined && name.length > 1) as string[],
    }
  }
}

const relationTo = (answered: ShownMessage | undefined): Pick<Draft, 'relations'> =>
  answered === undefined ? {} : { relations: [{ kind: 'reply', to: answered.id }] }

/** The mail itself, where its words alone would not be all of it. */
const wholeMail = (subject: string, bytes: Uint8Array): MailFile => ({
  name: `${cutToOctets(subject.replaceAll(/[/\\]/g, '_'), limits.fileNameOctetsMax - 4) || 'mail'}.eml`,
  mediaType: 'message/rfc822',
  bytes,
})

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield await Promise.resolve(bytes)
}

/** Without the marks of an answer. */
const subjectOf = (headers: Headers): string =>
  oneLine(decodeWords(valuesOf(headers, 'subject')[0] ?? '')).replace(
    /^(?:(?:re|aw|antw|sv|vs|odp|res|rif)(?:\[\d{1,3}\])?\s?:\s*)+/i,
    '',
  )

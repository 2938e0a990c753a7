/** Conversations from the command line: what is said, shown and followed. */
import type { OwnAccount } from '../core/account/own-account.ts'
import { fromUtf8 } from '../core/bytes.ts'
import type { Operations } from '../core/control.ts'
import type { ChatEvent, ChatMessageView, ChatSettingsView, ConversationView } from '../core/control-views.ts'
import { type FeedStep, idOfPartner } from '../core/conversation/conversations.ts'
import type { ConversationRow, Partner } from '../core/conversation/rows.ts'
import type { ShownMessage } from '../core/conversation/view.ts'
import { hasCode, MyceliumError } from '../core/errors.ts'
import type { Identity, MessageId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { sizeOfContent } from '../core/message/content.ts'
import type { Part } from '../core/message/part.ts'
import { accountOf, contactOf, liveOf, type OperationParts } from './context.ts'
import { groupOf } from './groups.ts'
import { viewPerson } from './people.ts'

type ChatOperations = Pick<
  Operations,
  | 'chatSend'
  | 'chatEdit'
  | 'chatDelete'
  | 'chatReact'
  | 'chatList'
  | 'chatShow'
  | 'chatRead'
  | 'chatTail'
  | 'chatSettings'
>

export function chatOperations(parts: OperationParts): ChatOperations {
  const { conversations, store } = parts.knowledge
  const view = (account: OwnAccount, id: MessageId): ChatMessageView => {
    const found = conversations.message(account.identity, id)
    if (found === undefined) throw new MyceliumError('no-such-message')
    return viewMessage(parts, account, found)
  }
  /** Says something about an earlier message where that stands. @returns the earlier one as it is now */
  const about = async (
    named: { readonly account?: string | undefined; readonly message: string },
    part: (target: MessageId) => Part,
  ): Promise<ChatMessageView> => {
    const account = accountOf(parts, named.account)
    const target = conversations.byPrefix(account.identity, named.message)
    const row = conversations.get(account.identity, target.conversation)!
    await say(parts, account, row.partner, { parts: [part(target.id)] })
    return view(account, target.id)
  }
  return {
    async chatSend({ account: named, to, text, replyTo }) {
      const account = accountOf(parts, named)
      const answered = replyTo === undefined ? undefined : conversations.byPrefix(account.identity, replyTo)
      const { id } = await say(parts, account, partnerOf(parts, account, to), {
        parts: [{ kind: 'text', text }],
        relations: answered === undefined ? [] : [{ kind: 'reply', to: answered.id }],
      })
      return view(account, id)
    },
    chatEdit: async ({ text, ...named }) =>
      await about(named, (target) => ({ kind: 'edit', target, body: [{ kind: 'text', text }] })),
    chatDelete: async (named) => await about(named, (target) => ({ kind: 'redaction', target })),
    chatReact: async ({ reactions, ...named }) =>
      await about(named, (target) => ({ kind: 'reaction', target, reactions })),
    async chatList({ account: named }) {
      const account = accountOf(parts, named)
      return conversations.list(account.identity).map((row) => viewConversation(parts, account, row))
    },
    async chatShow({ account: named, with: whom, limit, before }) {
      const account = accountOf(parts, named)
      const id = idOfPartner(account.identity, partnerOf(parts, account, whom))
      const upTo = before === undefined ? undefined : conversations.byPrefix(account.identity, before)
      const page = conversations.page(account.identity, id, { limit, ...(upTo === undefined ? {} : { before: upTo }) })
      return page.map((message) => viewMessage(parts, account, message))
    },
    async chatRead({ account: named, with: whom, upTo }) {
      const account = accountOf(parts, named)
      const id = idOfPartner(account.identity, partnerOf(parts, account, whom))
      const last =
        upTo === undefined
          ? conversations.page(account.identity, id, { limit: 1 })[0]
          : conversations.byPrefix(account.identity, upTo)
      if (last === undefined) throw new MyceliumError('no-such-message')
      await liveOf(parts).node.delivery.chats.markRead(account.identity, id, last.id)
      return viewConversation(parts, account, conversations.get(account.identity, id)!)
    },
    async chatTail({ account: named, with: whom, after }, { signal, output }) {
      const account = accountOf(parts, named)
      const only = whom === undefined ? undefined : idOfPartner(account.identity, partnerOf(parts, account, whom))
      let events = 0
      for await (const step of follow(parts, account, after, signal)) {
        if (only !== undefined && step.conversation !== only) continue
        await output?.(fromUtf8(`${JSON.stringify(viewStep(parts, account, step))}\n`))
        events += 1
      }
      return { events }
    },
    async chatSettings({ account: named, readReceipts, presence, inInbox }) {
      const { identity } = accountOf(parts, named)
      const change = {
        ...(readReceipts === undefined ? {} : { tellsRead: readReceipts }),
        ...(presence === undefined ? {} : { tellsPresence: presence }),
        ...(inInbox === undefined ? {} : { hasChatClient: !inInbox }),
      }
      if (Object.keys(change).length > 0) await store.write((tx) => conversations.setSettings(tx, identity, change))
      return viewSettings(parts, identity)
    },
  }
}

/** A contact, another account of this gateway, oneself, or a group. @throws `no-such-group`, `ambiguous` */
export function partnerOf(parts: OperationParts, account: OwnAccount, named: string): Partner {
  const local = parts.knowledge.accounts.byUser(named)
  if (local !== undefined) return { kind: 'direct', peer: local.identity }
  try {
    return { kind: 'direct', peer: contactOf(parts, account, named).identity }
  } catch (error) {
    if (!hasCode(error, 'no-such-contact')) throw error
    return { kind: 'group', group: groupOf(parts, account, named).group }
  }
}

export async function say(
  parts: OperationParts,
  account: OwnAccount,
  partner: Partner,
  draft: {
    readonly parts: readonly Part[]
    readonly relations?: readonly { readonly kind: 'reply'; readonly to: MessageId }[]
  },
): Promise<{ readonly id: MessageId }> {
  const { chats, groups } = liveOf(parts).node.delivery
  if (partner.kind === 'group') return await groups.say(account.identity, partner.group, draft)
  return await chats.say(account.identity, partner.peer, draft)
}

/** What has happened after a number, and then what happens; ends with the signal. */
async function* follow(
  { knowledge: { conversations } }: OperationParts,
  { identity }: OwnAccount,
  after: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<FeedStep> {
  let wake = (): void => {}
  const stop = conversations.watch((account) => {
    if (account === identity) wake()
  })
  const woken = (): void => wake()
  signal.addEventListener('abort', woken)
  try {
    let number = after ?? conversations.lastNumber(identity)
    while (!signal.aborted) {
      const news = new Promise<void>((resolve) => (wake = resolve))
      const steps = conversations.feedSince(identity, number, limits.chatTailBatch)
      yield* steps
      number = steps.at(-1)?.number ?? number
      if (steps.length === 0 && !signal.aborted) await news
    }
  } finally {
    signal.removeEventListener('abort', woken)
    stop()
  }
}

function viewStep(parts: OperationParts, account: OwnAccount, { number, conversation, event }: FeedStep): ChatEvent {
  const { conversations } = parts.knowledge
  const row = conversations.get(account.identity, conversation)
  const id = 'target' in event ? event.target : 'message' in event ? event.message : undefined
  const message = id === undefined ? undefined : conversations.message(account.identity, id)
  const who = 'who' in event ? event.who : 'to' in event ? event.to : undefined
  return {
    number,
    conversation,
    with: row === undefined ? '' : nameOfPartner(parts, account, row.partner),
    kind: event.kind,
    id,
    message: message && viewMessage(parts, account, message),
    who: who && viewPerson(parts, account, who),
  }
}

export function nameOfPartner(parts: OperationParts, account: OwnAccount, partner: Partner): string {
  if (partner.kind === 'direct') return viewPerson(parts, account, partner.peer).name
  return parts.knowledge.groupBook.groupNow(account.identity, partner.group)?.state.name ?? partner.group.slice(0, 16)
}

const viewConversation = (parts: OperationParts, account: OwnAccount, row: ConversationRow): ConversationView => ({
  conversation: row.id,
  kind: row.partner.kind,
  name: nameOfPartner(parts, account, row.partner),
  messages: row.shown,
  unread: row.unread,
  lastAtMs: row.lastAtMs,
})

const stateNames = { open: 'on-its-way', delivered: 'delivered', failed: 'failed' } as const

function viewMessage(parts: OperationParts, account: OwnAccount, shown: ShownMessage): ChatMessageView {
  const { conversation, file, relations, fate } = shown
  const isDirect = parts.knowledge.conversations.get(account.identity, conversation)?.partner.kind === 'direct'
  const isOwn = shown.author === account.identity
  return {
    id: shown.id,
    conversation,
    author: viewPerson(parts, account, shown.author),
    number: shown.number,
    sentAtMs: shown.sentAtMs,
    receivedAtMs: shown.receivedAtMs,
    text: shown.text,
    html: shown.html,
    file: file && {
      name: file.part.name,
      mediaType: file.part.mediaType,
      size: sizeOfContent(file.part.content),
      here: file.stored !== undefined || file.part.content.kind === 'inline',
    },
    replyTo: relations.find((relation) => relation.kind === 'reply')?.to,
    editedAtMs: shown.editedAtMs,
    deleted: shown.isRedacted,
    reactions: shown.reactions.map(({ who, reactions }) => ({ who: viewPerson(parts, account, who), reactions })),
    state: isOwn && (isDirect || fate === 'failed') ? stateNames[fate] : undefined,
    gap: shown.hasGap,
  }
}

function viewSettings({ knowledge: { conversations } }: OperationParts, identity: Identity): ChatSettingsView {
  const { tellsRead, tellsPresence, hasChatClient } = conversations.settings(identity)
  return { readReceipts: tellsRead, presence: tellsPresence, inInbox: !hasChatClient }
}

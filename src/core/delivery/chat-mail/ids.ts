/**
 * Message-IDs of messages of conversations: made of their ids, so the same at every gateway, and what a mail program
 * answers is told from them. The two domains do not exist (RFC 2606 §2).
 */
import type { ConversationId, MessageId } from '../../ids.ts'

export const chatMessageId = (id: MessageId): string => `<${id}@chat.invalid>`
/** @param sentAs of the own mail that said it, where mail programs have it under that */
export const mailMessageId = (sentAs: string | undefined, id: MessageId): string =>
  sentAs === undefined ? chatMessageId(id) : `<${sentAs}>`
/** Of no mail: what all mails of a conversation refer to, so that programs show them as one thread. */
export const threadMessageId = (id: ConversationId): string => `<${id}@conversation.invalid>`

/** The message that an identifier names, between angle brackets or not; `undefined` when it is no such identifier. */
export const messageOfId = (text: string): MessageId | undefined =>
  /^<?([\da-f]{64})@chat\.invalid>?$/.exec(text)?.[1] as MessageId | undefined

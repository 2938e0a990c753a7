/**
 * The URLs of files: `https://<host>:<port>/xmpp/files/<id>/<name>`. An upload's id is random; that of a message's file
 * is the message's with a keyed hash over account and message, so that it is always the same, nobody can guess it, and
 * nothing has to be kept for it. Whoever has the URL gets the file: XMPP programs send no login.
 */
import type { Accounts } from '../../../core/account/accounts.ts'
import type { Ambient } from '../../../core/ambient.ts'
import { equalConstantTime, fromHex, fromUtf8, toHex } from '../../../core/bytes.ts'
import type { Conversations } from '../../../core/conversation/conversations.ts'
import { fileNameOf } from '../../../core/delivery/file-name.ts'
import type { Files } from '../../../core/delivery/files.ts'
import type { Uploads as StoredUploads } from '../../../core/delivery/uploads.ts'
import { MyceliumError } from '../../../core/errors.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { sizeOfContent } from '../../../core/message/content.ts'
import type { Store } from '../../../core/store/store.ts'
import { isSlotId, Slots } from './slots.ts'
import type { Uploaded, Uploads, Wanted } from './uploads.ts'

export interface FileUrlParts {
  readonly store: Store
  readonly accounts: Accounts
  readonly conversations: Conversations
  readonly files: Files
  /** What was uploaded and is in no message yet. */
  readonly stored: StoredUploads
  /** Host and port of the HTTPS listener as programs name it; undefined while there is none. */
  readonly authority: () => string | undefined
  readonly ambient: Ambient
}

export const filesPath = '/xmpp/files/'

export type FileId =
  | { readonly kind: 'upload'; readonly id: string }
  | { readonly kind: 'message'; readonly message: MessageId; readonly tag: Uint8Array }

/** @param path percent-encoded; the name in it says nothing but what the file is called */
export function fileIdOf(path: string): FileId | undefined {
  const id = /^\/xmpp\/files\/([\w-]+)\/[^/]+$/.exec(path)?.[1]
  if (id === undefined) return undefined
  if (isSlotId(id)) return { kind: 'upload', id }
  const found = /^([\da-f]{64})([\da-f]{32})$/.exec(id)
  return found === null ? undefined : { kind: 'message', message: found[1] as MessageId, tag: fromHex(found[2]!)! }
}

export class FileUrls implements Uploads {
  readonly parts: FileUrlParts
  readonly slots: Slots

  constructor(parts: FileUrlParts) {
    this.parts = parts
    this.slots = new Slots(parts.ambient)
  }

  get isOpen(): boolean {
    return this.parts.authority() !== undefined
  }

  promise(account: Identity, wanted: Wanted): string {
    const { stored } = this.parts
    if (!this.isOpen) throw new MyceliumError('unreachable')
    stored.checkRoom(account, wanted.size)
    return this.#url(this.slots.add(account, wanted), wanted.name)!
  }

  urlOf(account: Identity, messageId: MessageId, fileName: string): string | undefined {
    return this.#url(messageId + toHex(this.#tag(account, messageId)), fileName)
  }

  #url(id: string, name: string): string | undefined {
    const authority = this.parts.authority()
    if (authority === undefined) return undefined
    return `https://${authority}${filesPath}${id}/${encodeURIComponent(fileNameOf(name))}`
  }

  async takeUpload(account: Identity, url: string): Promise<Uploaded | undefined> {
    const id = this.#idIn(url)
    if (id === undefined) return undefined
    if (id.kind === 'message') return this.accountOf(id) === account ? this.#ofMessage(account, id.message) : undefined
    const { stored } = this.parts
    const upload = stored.find(id.id)
    if (upload?.account !== account) return undefined
    if (upload.saidIn !== undefined) return this.#ofMessage(account, upload.saidIn)
    await stored.take(id.id, account)
    const { name, mediaType, size } = upload
    return { name, mediaType, size, source: { [Symbol.asyncIterator]: () => iterate(stored.read(id.id)) } }
  }

  async said(account: Identity, url: string, messageId: MessageId): Promise<void> {
    const id = this.#idIn(url)
    if (id?.kind === 'upload') await this.parts.stored.said(id.id, account, messageId)
  }

  /** Whose message it is: only the right URL names one. */
  accountOf({ message, tag }: Extract<FileId, { readonly kind: 'message' }>): Identity | undefined {
    const { accounts } = this.parts
    return accounts.list().find(({ identity }) => equalConstantTime(this.#tag(identity, message), tag))?.identity
  }

  #tag(account: Identity, message: MessageId): Uint8Array {
    const parts = [fromUtf8('xmpp-file'), fromHex(account)!, fromHex(message)!] as const
    return this.parts.store.read((tx) => tx.opaque(...parts))
  }

  #idIn(text: string): FileId | undefined {
    const url = URL.parse(text)
    const ours = this.parts.authority()
    if (url === null || ours === undefined) return undefined
    return url.origin === new URL(`https://${ours}`).origin ? fileIdOf(url.pathname) : undefined
  }

  #ofMessage(account: Identity, message: MessageId): Uploaded | undefined {
    const { conversations, files } = this.parts
    const part = conversations.message(account, message)?.file?.part
    if (part === undefined || files.standing(account, message)?.state !== 'here') return undefined
    const { name, mediaType, content } = part
    const source = { [Symbol.asyncIterator]: () => iterate(files.read(account, message)) }
    return { name, mediaType, size: sizeOfContent(content), source }
  }
}

const iterate = <T>(of: AsyncIterable<T>): AsyncIterator<T> => of[Symbol.asyncIterator]()

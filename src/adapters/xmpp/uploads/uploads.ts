/**
 * Files by URL, as XMPP programs hand them around (XEP-0363, XEP-0066): what an account has uploaded, and the files of
 * its messages. A message carries the file itself; each gateway has URLs of its own for it.
 */
import type { Identity, MessageId } from '../../../core/ids.ts'

/** What goes into `Files.prepare`. */
export interface Uploaded {
  readonly name: string
  readonly mediaType: string
  /** Octets. */
  readonly size: number
  /** Read anew each time that it is iterated. */
  readonly source: AsyncIterable<Uint8Array>
}

export interface Wanted {
  readonly name: string
  readonly mediaType: string | undefined
  /** Octets. */
  readonly size: number
}

export interface Uploads {
  /**
   * The file behind a URL that a client names in a message: one that this account has uploaded, or that of a message it
   * has, passed on. It does not count against the quota from here on but as a file of the message: say `said` then.
   * @returns undefined for a URL of somewhere else, of somebody else, or of what is not here (any more)
   */
  takeUpload(account: Identity, url: string): Promise<Uploaded | undefined>
  /** The message has the file now: the URL goes on showing it for as long as there is the message. */
  said(account: Identity, url: string, messageId: MessageId): Promise<void>
  /**
   * Where a program of this account has the file of a message: always the same, and not to be guessed.
   * @returns undefined while there is no HTTPS listener
   */
  urlOf(account: Identity, messageId: MessageId, fileName: string): string | undefined
  /** Files may be uploaded: there is an HTTPS listener. */
  readonly isOpen: boolean
  /**
   * Promises room for one upload, for a while (XEP-0363 §5).
   * @returns where it is put and had
   * @throws `message-too-large`, `mailbox-full`, `throttled` while too many are promised, `unreachable` without HTTPS
   */
  promise(account: Identity, wanted: Wanted): string
}

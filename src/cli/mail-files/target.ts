/** Where an export goes. */
import type { MessageHead } from '../../core/transfer/mail-stream.ts'

export interface MailTarget {
  /** There is such a mailbox, with messages or without. */
  mailbox(name: string): Promise<void>
  /** @returns false when it is there already; leaves nothing behind when the body throws */
  message(head: MessageHead, body: AsyncIterable<Uint8Array>): Promise<boolean>
  /** Everything is durable on return. */
  finish(): Promise<void>
}

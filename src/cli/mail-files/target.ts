/** Where an export goes. */
import { GivenUp, type MessageHead } from '../../core/transfer/mail-stream.ts'

export interface MailTarget {
  /** There is such a mailbox, with messages or without. */
  mailbox(name: string): Promise<void>
  /** @returns false when it is there already; leaves nothing behind when the body throws */
  message(head: MessageHead, body: AsyncIterable<Uint8Array>): Promise<boolean>
  /** Everything is durable on return. */
  finish(): Promise<void>
}

/** @throws GivenUp for a name that the file system has no room for: other mailboxes have shorter ones */
export async function withName<T>(make: () => Promise<T>): Promise<T> {
  try {
    return await make()
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENAMETOOLONG')) throw cause
    throw new GivenUp('has a name too long for this file system', { cause })
  }
}

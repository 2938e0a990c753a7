/** Which strangers are announced in INBOX: each with a notice of its own while few come, all the others of a day with one. */
import { decode, encode, record, u32, u64 } from '../codec.ts'
import type { Address, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

interface Written {
  /** When the period began, Unix milliseconds. */
  readonly sinceMs: number
  readonly notices: number
}
const writtenCodec = record<Written>({ sinceMs: u64, notices: u32 })

export interface RequestNotice {
  readonly subject: string
  readonly text: string
}

/** For a stranger who has written for the first time; `undefined` when the person knows already that many do. */
export function nextNotice(
  tx: WriteTx,
  account: Identity,
  { sender, author, nowMs }: { readonly sender: Address; readonly author: Identity; readonly nowMs: number },
): RequestNotice | undefined {
  const key = tx.opaque(Buffer.from(account, 'hex'))
  const value = tx.get(tables.requestNotices, key)
  const last = value && decode(writtenCodec, value)
  const isOver = last === undefined || Math.abs(nowMs - last.sinceMs) >= limits.requestNoticesMs
  const written = isOver ? { sinceMs: nowMs, notices: 0 } : last
  if (written.notices > limits.requestNoticesMax) return undefined
  tx.put(tables.requestNotices, key, encode(writtenCodec, { ...written, notices: written.notices + 1 }))
  return written.notices < limits.requestNoticesMax ? oneNotice(sender, author.slice(0, 16)) : manyNotice
}

/** The beginning of the identity names the stranger: an address may be claimed by others too, and may hold anything. */
const oneNotice = (sender: Address, who: string): RequestNotice => ({
  subject: 'Contact request',
  text: [
    `Somebody you do not know yet wrote to you as ${sender}.`,
    'Their messages are in the folder Requests, and stay out of your inbox.',
    '',
    `To accept them:  mycelium-gateway contact accept ${who}`,
    `To refuse them:  mycelium-gateway contact block ${who}`,
    '',
    'Who they are is their own word. Whom you refuse is not told.',
  ].join('\r\n'),
})

const manyNotice: RequestNotice = {
  subject: 'Many contact requests',
  text: [
    'More people whom you do not know write to you. Their messages are in the folder Requests;',
    'for a day, no further notices come into your inbox.',
    '',
    'To see who waits:  mycelium-gateway contact requests',
    'Mail of your contacts comes as ever.',
  ].join('\r\n'),
}

/** What mail programs would find in a mailbox: flags as kept, mails as another parser reads them. */
import { type ParsedMail, simpleParser } from 'mailparser'
import type { TestGateway } from './world.ts'

export interface FoundMail {
  readonly uid: number
  readonly flags: readonly string[]
  readonly source: string
  readonly mail: ParsedMail
  /** Without the line that the gateway puts below the words. */
  readonly words: string
  /** Below it. */
  readonly notes: readonly string[]
}

/** Oldest first; none where there is no such mailbox. */
export async function mailsIn(gateway: TestGateway, mailbox: string): Promise<readonly FoundMail[]> {
  const {
    knowledge: { mailboxes },
    account,
  } = gateway
  const info = mailboxes.byName(account, mailbox)
  if (info === undefined) return []
  const columns = mailboxes.columns(account, info.id)
  const found = Array.from({ length: columns.count }, (_, index) => ({
    uid: columns.uidAt(index),
    flags: columns.flagsOf(columns.flagSetAt(index)),
    content: columns.contentAt(index),
  }))
  const mails: FoundMail[] = []
  for (const { uid, flags, content } of found) {
    const pieces: Uint8Array[] = []
    for await (const piece of mailboxes.read(account, content)) pieces.push(piece)
    const bytes = Buffer.concat(pieces)
    const mail = await simpleParser(bytes)
    const [words = '', ...below] = (mail.text ?? '').trimEnd().split('\n\n-- \n')
    mails.push({ uid, flags, source: bytes.toString(), mail, words, notes: below.flatMap((one) => one.split('\n')) })
  }
  return mails
}

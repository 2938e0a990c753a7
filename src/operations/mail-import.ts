/**
 * Mail from elsewhere into an account's mailboxes, many messages in one transaction. A message that is in its mailbox
 * already, octet for octet, is not added again; where the source has several copies of it, the mailbox ends with as many.
 */
import { createHash } from 'node:crypto'
import type { Results } from '../core/control.ts'
import type { MailProblem } from '../core/control-views.ts'
import { hasCode, MyceliumError } from '../core/errors.ts'
import type { Identity, MailboxId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Flag, StoredContent } from '../core/mailbox/mailbox.ts'
import { GivenUp, type MailEvent, type MessageHead } from '../core/transfer/mail-stream.ts'
import type { Knowledge } from '../node.ts'
import { KnownCopies } from './known-copies.ts'

interface Ready {
  readonly mailbox: MailboxId
  readonly head: MessageHead
  /** In hand, or stored already when it is large. */
  readonly content: { readonly bytes: Uint8Array } | { readonly stored: StoredContent }
}

interface Target {
  readonly id: MailboxId
  readonly copies: KnownCopies
}

export class MailImport {
  readonly #knowledge: Knowledge
  readonly #account: Identity
  readonly #targets = new Map<string, Target>()
  readonly #refusals: MailProblem[] = []
  #ready: Ready[] = []
  #readyBytes = 0
  #added = 0
  #known = 0
  #refused = 0

  constructor(knowledge: Knowledge, account: Identity) {
    this.#knowledge = knowledge
    this.#account = account
  }

  /** @throws `mailbox-full`, `disk-full`: what came before stays */
  async take(event: MailEvent): Promise<void> {
    if (event.kind === 'total') return
    if (event.kind === 'mailbox') {
      await this.#targetOf(event.mailbox)
      return
    }
    try {
      await this.#message(event.head, event.body)
    } catch (error) {
      if (error instanceof GivenUp) return // whoever reads the file knows why
      const code = error instanceof MyceliumError ? error.code : undefined
      const reason = code === undefined ? undefined : reasons[code]
      if (reason === undefined) throw error
      this.#refuse(event.head.name, reason)
    }
    // What fails here concerns all that wait for it.
    if (this.#ready.length >= limits.importBatchMessages || this.#readyBytes >= limits.importBatchBytes)
      await this.#flush()
  }

  async finish(): Promise<Results['mailImport']> {
    await this.#flush()
    return { added: this.#added, known: this.#known, refused: this.#refused, refusals: this.#refusals }
  }

  async #message(head: MessageHead, body: AsyncIterable<Uint8Array>): Promise<void> {
    const target = await this.#targetOf(head.mailbox)
    const { content, size, digest } = await this.#read(body)
    if (size === 0) return this.#refuse(head.name, 'is empty')
    const stored = 'stored' in content ? content.stored.content : undefined
    if (await target.copies.take(size, { digest, stored })) {
      this.#known += 1
      return
    }
    this.#ready.push({ mailbox: target.id, head, content })
    this.#readyBytes += 'bytes' in content ? size : 0
  }

  /** Small messages are kept for the next transaction, others go into the store as they come. */
  async #read(
    body: AsyncIterable<Uint8Array>,
  ): Promise<{ readonly content: Ready['content']; readonly size: number; readonly digest: string }> {
    const hash = createHash('sha256')
    const pieces: Uint8Array[] = []
    let size = 0
    async function* hashed(): AsyncGenerator<Uint8Array> {
      for await (const piece of body) {
        hash.update(piece)
        size += piece.length
        yield piece
      }
    }
    const source = hashed()
    while (size <= limits.messageInlineBytesMax) {
      const next = await source.next()
      if (next.done === true) return { content: { bytes: Buffer.concat(pieces) }, size, digest: hash.digest('hex') }
      pieces.push(Uint8Array.from(next.value))
    }
    async function* all(): AsyncGenerator<Uint8Array> {
      yield* pieces.splice(0)
      yield* source
    }
    const stored = await this.#knowledge.mailboxes.store(this.#account, all(), { bytesMax: limits.mailBytesMax })
    return { content: { stored }, size, digest: hash.digest('hex') }
  }

  /** Made where it is missing, and subscribed, as mail programs show subscribed folders only. */
  async #targetOf(name: string): Promise<Target> {
    const known = this.#targets.get(name)
    if (known !== undefined) return known
    const { mailboxes } = this.#knowledge
    let info = mailboxes.byName(this.#account, name)
    if (info === undefined) {
      info = await mailboxes.create(this.#account, name)
      await mailboxes.subscribe(this.#account, info.name, true)
    }
    const target = { id: info.id, copies: new KnownCopies(mailboxes, this.#account, info.id) }
    this.#targets.set(name, target)
    return target
  }

  async #flush(): Promise<void> {
    const ready = this.#ready
    this.#ready = []
    this.#readyBytes = 0
    if (ready.length === 0) return
    try {
      await this.#append(ready, (flags) => flags)
    } catch (error) {
      // Keywords that a mailbox cannot have, or more than it takes: the message matters more.
      if (!hasCode(error, 'too-large') && !hasCode(error, 'malformed')) throw error
      await this.#append(ready, (flags) => flags.filter((flag) => flag.startsWith('\\')))
    }
    this.#added += ready.length
  }

  async #append(ready: readonly Ready[], flagsOf: (flags: readonly Flag[]) => readonly Flag[]): Promise<void> {
    const { mailboxes, store } = this.#knowledge
    await store.write((tx) => {
      for (const [mailbox, group] of Map.groupBy(ready, (one) => one.mailbox)) {
        const items = group.map(({ content, head }) => ({
          ...('bytes' in content ? mailboxes.storeInline(tx, this.#account, content.bytes) : content.stored),
          flags: flagsOf(head.flags),
          internalDateMs: head.dateMs,
        }))
        mailboxes.append(tx, this.#account, mailbox, items)
      }
    })
  }

  #refuse(name: string, reason: string): void {
    this.#refused += 1
    if (this.#refusals.length < limits.importReportsMax) this.#refusals.push({ name, reason })
  }
}

/** What concerns one message; everything else ends the import. */
const reasons: Partial<Record<MyceliumError['code'], string>> = {
  'message-too-large': `is larger than ${limits.mailBytesMax / 1024 / 1024} MB`,
  'mailbox-exists': 'is in a folder whose name differs only in case from another',
  'mailbox-reserved': 'is in a folder with a name that is not free',
  malformed: 'is in a folder whose name cannot be used',
}

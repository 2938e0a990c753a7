/**
 * What must be in an account's mailboxes, from what the server acknowledged and nothing else. Several clients change an
 * account at once; what changed while an answer was on its way may be seen before or after, all else must be exact.
 */
import { below, type Random } from '../seeded.ts'

export interface Entry {
  readonly uid: number
  readonly number: number
  /** The one client that changes it. */
  readonly owner: number
  flags: ReadonlySet<string>
  /** Changes that the server has not answered yet. */
  pending: number
  changedAt: number
}

export class MailboxModel {
  readonly name: string
  readonly entries = new Map<number, Entry>()
  /** When each UID was known to be gone. */
  readonly gone = new Map<number, number>()
  pending = 0
  changedAt = 0

  constructor(name: string) {
    this.name = name
  }
}

export class AccountModel {
  readonly user: string
  readonly address: string
  readonly mailboxes: readonly MailboxModel[]
  /** Numbers on their way to INBOX, with whether the sender has its 250. */
  readonly travelling = new Map<number, { isAcknowledged: boolean }>()
  readonly arrived = new Set<number>()
  /** Something was wrong: what follows from it says nothing new. */
  isGivenUp = false
  #clock = 0

  constructor(user: string, address: string, names: readonly string[]) {
    this.user = user
    this.address = address
    this.mailboxes = names.map((name) => new MailboxModel(name))
  }

  /** Now, for questions: compare with `isStable` when the answer is there. */
  get now(): number {
    return this.#clock
  }
  get size(): number {
    return this.mailboxes.reduce((sum, { entries }) => sum + entries.size, 0)
  }
  mailbox(name: string): MailboxModel {
    return this.mailboxes.find((mailbox) => mailbox.name === name)!
  }
  other(than: string, random: Random): MailboxModel {
    const others = this.mailboxes.filter(({ name }) => name !== than)
    return others[below(random, others.length)]!
  }

  begin(mailboxes: readonly MailboxModel[], entries: readonly Entry[] = []): void {
    for (const part of [...mailboxes, ...entries]) part.pending += 1
  }
  end(mailboxes: readonly MailboxModel[], entries: readonly Entry[] = []): void {
    this.#clock += 1
    for (const part of [...mailboxes, ...entries]) {
      part.pending -= 1
      part.changedAt = this.#clock
    }
  }

  add(mailbox: MailboxModel, entry: Pick<Entry, 'uid' | 'number' | 'owner' | 'flags'>): void {
    this.#clock += 1
    mailbox.entries.set(entry.uid, { ...entry, pending: 0, changedAt: this.#clock })
  }
  remove(mailbox: MailboxModel, uid: number): void {
    this.#clock += 1
    mailbox.entries.delete(uid)
    mailbox.gone.set(uid, this.#clock)
  }

  /** Nothing has happened to it since the question was asked. */
  isStable(part: Pick<Entry, 'pending' | 'changedAt'>, askedAt: number): boolean {
    return part.pending === 0 && part.changedAt <= askedAt
  }
}

/**
 * What a Maildir and an account must both hold after changes on both sides: a model that knows where each message is and
 * how it is flagged, and chooses, from a seed, what happens to which message next.
 */

export const folders = ['INBOX', 'Archive', 'Travel'] as const
export type Folder = (typeof folders)[number]

/** Maildir's letters for flags, which the model uses too. */
export const flagOf = { S: String.raw`\Seen`, F: String.raw`\Flagged`, R: String.raw`\Answered` } as const
export type Letter = keyof typeof flagOf

interface Kept {
  folder: Folder
  flags: string
  /** A change of this message is known to both sides only two rounds later. */
  changedInRound: number
}

/** What one side does in one round; messages are named by their subjects. */
export interface Changes {
  readonly flag: readonly (readonly [subject: string, letter: Letter])[]
  readonly move: readonly (readonly [subject: string, to: Folder])[]
  readonly remove: readonly string[]
  readonly add: readonly (readonly [subject: string, folder: Folder])[]
}

export const rawMail = (subject: string): string =>
  `From: friend@far.example\r\nSubject: ${subject}\r\nMessage-ID: <${subject}@far.example>\r\n\r\ntext of ${subject}\r\n`

export class Model {
  readonly #messages = new Map<string, Kept>()
  #random: number
  #added = 0

  constructor(seed: number) {
    this.#random = seed
  }

  /** A further message that both sides shall have; answers its subject. */
  add(folder: Folder, flags: string, round = -2): string {
    this.#added += 1
    const subject = `mail-${this.#added}`
    this.#messages.set(subject, { folder, flags, changedInRound: round })
    return subject
  }

  /**
   * Chooses changes for one side. No message is chosen that either side changed in this round or the one before: two
   * moves at once would rightly leave two copies, and a flag cannot follow a message that is moved at the same time.
   */
  choose(round: number, count: number): Changes {
    const free = this.#shuffled([...this.#messages].filter(([, kept]) => kept.changedInRound < round - 1))
    const flag = free.splice(0, count).map(([subject, kept]) => [subject, this.#setFlag(kept, round)] as const)
    const move = free.splice(0, count).map(([subject, kept]) => [subject, this.#move(kept, round)] as const)
    const remove = free.splice(0, count).map(([subject]) => subject)
    for (const subject of remove) this.#messages.delete(subject)
    const add = Array.from({ length: count }, () => {
      const folder = this.#pick(folders)
      return [this.add(folder, 'S', round), folder] as const
    })
    return { flag, move, remove, add }
  }

  /** Messages that both sides flag at the same time, each with a letter of its own. */
  chooseForBoth(round: number, count: number): readonly string[] {
    const free = this.#shuffled([...this.#messages].filter(([, kept]) => kept.changedInRound < round - 1))
    return free.slice(0, count).map(([subject, kept]) => {
      kept.flags = sortedLetters(`${kept.flags}FR`)
      kept.changedInRound = round
      return subject
    })
  }

  /** One line for each message, sorted: `folder subject flags`. */
  lines(): readonly string[] {
    return [...this.#messages].map(([subject, { folder, flags }]) => `${folder} ${subject} ${flags}`).sort()
  }

  #setFlag(kept: Kept, round: number): Letter {
    const letter = this.#pick(['S', 'F', 'R'] as const)
    kept.flags = sortedLetters(kept.flags + letter)
    kept.changedInRound = round
    return letter
  }

  #move(kept: Kept, round: number): Folder {
    kept.folder = this.#pick(folders.filter((folder) => folder !== kept.folder))
    kept.changedInRound = round
    return kept.folder
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)]!
  }

  #shuffled<T>(list: T[]): T[] {
    for (let last = list.length - 1; last > 0; last -= 1) {
      const other = this.#below(last + 1)
      ;[list[last], list[other]] = [list[other]!, list[last]!]
    }
    return list
  }

  /** Marsaglia's xorshift of 32 bits is random enough to choose from lists. */
  #below(bound: number): number {
    let x = this.#random || 1
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#random = x
    return (x >>> 0) % bound
  }
}

/** Each letter once, in Maildir's order. */
export const sortedLetters = (letters: string): string => [...new Set(letters)].sort().join('')

/**
 * The combinations of flags in use in one mailbox, each under a number that is never given to another combination, so
 * that what was rendered for a number stays right. Number 0 is "no flags".
 */
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Flag, FlagChange } from './mailbox.ts'

const systemFlags: readonly Flag[] = ['\\Seen', '\\Answered', '\\Flagged', '\\Deleted', '\\Draft']
const systemByFold = new Map(systemFlags.map((flag) => [flag.toLowerCase(), flag]))

export interface FlagSet {
  readonly id: number
  readonly flags: readonly Flag[]
}

export interface FlagSets {
  /** In order of first use. */
  readonly keywords: readonly Flag[]
  readonly sets: ReadonlyMap<number, readonly Flag[]>
  readonly next: number
}

export const noFlagSets: FlagSets = { keywords: [], sets: new Map([[0, []]]), next: 1 }

const fold = (flag: Flag): string => flag.toLowerCase()

/** Changes the sets of one mailbox inside a transaction: the given value stays as it is, `value` is the new one. */
export class FlagSetEditor {
  readonly #keywords: Map<string, Flag>
  readonly #sets: Map<number, readonly Flag[]>
  readonly #byKey = new Map<string, number>()
  #next: number
  /** Given out in this transaction: about to be used, though no record shows it yet. */
  readonly #given = new Set<number>()
  isChanged = false

  constructor({ keywords, sets, next }: FlagSets) {
    this.#keywords = new Map(keywords.map((keyword) => [fold(keyword), keyword]))
    this.#sets = new Map(sets)
    this.#next = next
    for (const [id, flags] of sets) this.#byKey.set(keyOf(flags), id)
  }

  get value(): FlagSets {
    return { keywords: [...this.#keywords.values()], sets: this.#sets, next: this.#next }
  }

  flagsOf(id: number): readonly Flag[] {
    const flags = this.#sets.get(id)
    if (flags === undefined) throw new MyceliumError('store-corrupt', { what: 'flag-set' })
    return flags
  }

  /**
   * The number of this combination, new where it is. @param inUse the numbers in use, asked for when there are too many
   * @throws `malformed` for what is no flag, `too-large` for too many keywords or combinations
   */
  idOf(flags: readonly Flag[], inUse: () => ReadonlySet<number>): number {
    const canonical = [...new Set(flags.flatMap((flag) => this.#canonical(flag)))].sort()
    const key = keyOf(canonical)
    const known = this.#byKey.get(key)
    if (known !== undefined) {
      this.#given.add(known)
      return known
    }
    if (this.#sets.size >= limits.mailboxFlagSetsMax) this.#forgetUnused(inUse())
    if (this.#sets.size >= limits.mailboxFlagSetsMax)
      throw new MyceliumError('too-large', { flagSetsMax: limits.mailboxFlagSetsMax })
    const id = this.#next
    this.#next += 1
    this.#sets.set(id, canonical)
    this.#byKey.set(key, id)
    this.#given.add(id)
    this.isChanged = true
    return id
  }

  /** The number after a change of the combination `id`. */
  changed(id: number, change: FlagChange, inUse: () => ReadonlySet<number>): number {
    if (change.mode === 'replace') return this.idOf(change.flags, inUse)
    const before = this.flagsOf(id)
    if (change.mode === 'add') return this.idOf([...before, ...change.flags], inUse)
    const gone = new Set(change.flags.map(fold))
    return this.idOf(
      before.filter((flag) => !gone.has(fold(flag))),
      inUse,
    )
  }

  /** One spelling for each flag; \Recent belongs to sessions, not to messages. */
  #canonical(flag: Flag): Flag[] {
    const folded = fold(flag)
    const system = systemByFold.get(folded)
    if (system !== undefined) return [system]
    if (folded === '\\recent') return []
    const known = this.#keywords.get(folded)
    if (known !== undefined) return [known]
    // RFC 9051 §9 atom: printable ASCII without the specials.
    if (!/^[!#$&'+,\-./0-9:;<=>?@A-Z[^_`a-z|}~]+$/.test(flag) || flag.length > limits.keywordOctetsMax)
      throw new MyceliumError('malformed', { what: 'flag' })
    if (this.#keywords.size >= limits.keywordsMax)
      throw new MyceliumError('too-large', { keywordsMax: limits.keywordsMax })
    this.#keywords.set(folded, flag)
    this.isChanged = true
    return [flag]
  }

  #forgetUnused(inUse: ReadonlySet<number>): void {
    for (const [id, flags] of this.#sets) {
      if (id === 0 || inUse.has(id) || this.#given.has(id)) continue
      this.#sets.delete(id)
      this.#byKey.delete(keyOf(flags))
    }
    this.isChanged = true
  }
}

const keyOf = (flags: readonly Flag[]): string => flags.map(fold).sort().join(' ')

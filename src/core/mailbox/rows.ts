/** ◆ Rows of mailboxes and their codecs. Keys: see tables.ts; integers in keys are big-endian. */
import { concat } from '../bytes.ts'
import { array, type Codec, decode, encode, hexId, literal, optional, record, text, u32, u64, union } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { MailboxId, ModSeq, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { FlagSet, FlagSets } from './flag-sets.ts'
import { type Change, type SpecialUse, specialUses } from './mailbox.ts'

export interface MailboxMeta {
  readonly name: string
  readonly specialUse: SpecialUse | undefined
  readonly uidValidity: number
  readonly flagSets: FlagSets
}

export interface MailboxCounters {
  readonly uidNext: number
  readonly highestModSeq: number
  readonly messages: number
  readonly unseen: number
  readonly deleted: number
  readonly size: number
  /** Expunges up to this modseq are no longer known. */
  readonly tombstoneFloor: number
  readonly tombstoneRows: number
}

export interface AccountRow {
  readonly modSeq: number
  readonly changeSeq: number
  /** Changes up to this one are no longer kept. */
  readonly changeFloor: number
  /** The last UIDVALIDITY given out: they ascend, so that a mailbox made again under its old name differs. */
  readonly uidValidity: number
  /** Sum of sizes over all mailboxes, octets. */
  readonly usedBytes: number
}

export const newAccount: AccountRow = { modSeq: 0, changeSeq: 0, changeFloor: 0, uidValidity: 0, usedBytes: 0 }

export const specialUseCodec: Codec<SpecialUse> = {
  write: (out, value) => out.u8(specialUses.indexOf(value)),
  read: (from) => {
    const value = specialUses[from.u8()]
    if (value === undefined) throw new MyceliumError('malformed', { what: 'special-use' })
    return value
  },
}

const flag = text(limits.keywordOctetsMax)
const flagSet = record<FlagSet>({ id: u32, flags: array(flag, limits.keywordsMax + 5) })
const flagSetRows = record({
  keywords: array(flag, limits.keywordsMax),
  sets: array(flagSet, limits.mailboxFlagSetsMax),
  next: u32,
})
const flagSets: Codec<FlagSets> = {
  write: (out, { keywords, sets, next }) =>
    flagSetRows.write(out, { keywords, sets: [...sets].map(([id, flags]) => ({ id, flags })), next }),
  read: (from) => {
    const { keywords, sets, next } = flagSetRows.read(from)
    return { keywords, sets: new Map(sets.map(({ id, flags }) => [id, flags])), next }
  },
}

export const metaCodec: Codec<MailboxMeta> = record<MailboxMeta>({
  name: text(limits.mailboxNameOctetsMax),
  specialUse: optional(specialUseCodec),
  uidValidity: u32,
  flagSets,
})

export const countersCodec: Codec<MailboxCounters> = record<MailboxCounters>({
  uidNext: u64,
  highestModSeq: u64,
  messages: u32,
  unseen: u32,
  deleted: u32,
  size: u64,
  tombstoneFloor: u64,
  tombstoneRows: u32,
})

export const accountCodec: Codec<AccountRow> = record<AccountRow>({
  modSeq: u64,
  changeSeq: u64,
  changeFloor: u64,
  uidValidity: u32,
  usedBytes: u64,
})

/** Ascending UIDs as ranges: a count, then first and last of each. */
export const uidsCodec: Codec<readonly Uid[]> = {
  write(out, uids) {
    const ranges: { first: Uid; last: Uid }[] = []
    for (const uid of uids) {
      const current = ranges.at(-1)
      if (current !== undefined && uid === current.last + 1) current.last = uid
      else ranges.push({ first: uid, last: uid })
    }
    out.u32(ranges.length)
    for (const { first, last } of ranges) {
      out.u32(first)
      out.u32(last)
    }
  },
  read(from) {
    const uids: Uid[] = []
    let above = 0
    for (let left = from.u32(); left > 0; left -= 1) {
      const first = from.u32()
      const last = from.u32()
      // Adjoining ranges would be a second encoding of one list.
      if (first === 0 || last < first || (above > 0 && first <= above + 1) || last - first > uidRangeMax)
        throw new MyceliumError('malformed', { what: 'uids' })
      for (let uid = first; uid <= last; uid += 1) uids.push(uid as Uid)
      above = last
    }
    return uids
  },
}
const uidRangeMax = 10_000_000

type Event = Change['event']
const mailboxId = hexId<MailboxId>(16)
const uidsEvent = <const Kind extends 'appended' | 'flags' | 'expunged'>(kind: Kind) =>
  record({ kind: literal(kind), mailbox: mailboxId, uids: uidsCodec })

export const eventCodec: Codec<Event> = union<Event>({
  appended: { tag: 0, codec: uidsEvent('appended') },
  flags: { tag: 1, codec: uidsEvent('flags') },
  expunged: { tag: 2, codec: uidsEvent('expunged') },
  mailboxes: { tag: 3, codec: record({ kind: literal('mailboxes') }) },
})

export const mailboxKey = (account: Uint8Array, id: Uint8Array): Uint8Array => concat(account, id)
export const blockKey = (mailbox: Uint8Array, block: number): Uint8Array => concat(mailbox, encode(u32, block))
export const seqKey = (prefix: Uint8Array, seq: number): Uint8Array => concat(prefix, encode(u64, seq))
/** The number at the end of a key. */
export const seqOf = (key: Uint8Array): number => decode(u64, key.subarray(-8))
export const blockNumberOf = (key: Uint8Array): number => decode(u32, key.subarray(-4))
export const asModSeq = (value: number): ModSeq => value as ModSeq

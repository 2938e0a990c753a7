/**
 * Two logs of one identity that do not extend each other: who wins, and whether somebody's key signed twice. The rule
 * is a pure function of both logs, so that everybody who has seen both agrees: the branch with the higher root
 * generation, else the one that the root key signed (earlier), else the one whose first own entry was signed by the
 * device with the older grant. The loser issues its entry again on top.
 */
import { compare, equalConstantTime } from '../bytes.ts'
import { type Codec, record } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import { type LogState, verifyLog } from './account-log.ts'
import { type EntryBody, entryHash, isSignedBy, readEntry, type SignedEntry, signedEntryCodec } from './log-entry.ts'

/** One key, two signatures, one predecessor: proof that the key is in two hands or was restored from a copy. */
export interface ForkProof {
  readonly first: SignedEntry
  readonly second: SignedEntry
}
export const forkProofCodec: Codec<ForkProof> = record({ first: signedEntryCodec, second: signedEntryCodec })

/** True only for two different entries over one predecessor, both truly signed by `publicKey`. Never throws. */
export function provesFork({ first, second }: ForkProof, publicKey: Uint8Array): boolean {
  try {
    const [a, b] = [readEntry(first), readEntry(second)]
    return (
      a.sequence === b.sequence &&
      equalConstantTime(a.previous, b.previous) &&
      !equalConstantTime(first.body, second.body) &&
      isSignedBy(first, publicKey) &&
      isSignedBy(second, publicKey)
    )
  } catch (error) {
    if (error instanceof MyceliumError) return false
    throw error
  }
}

export interface MergedLog {
  readonly entries: readonly SignedEntry[]
  readonly state: LogState
  /** `same` and `behind`: nothing new. `extended`: the known log and more. `replaced`: the known branch lost. `kept`: the offered one did. */
  readonly outcome: 'same' | 'behind' | 'extended' | 'replaced' | 'kept'
  /** Present whenever one key signed both branches' first own entries, whoever wins. */
  readonly fork: ForkProof | undefined
}

/**
 * What to hold after being offered another log of the same identity. Both must be whole.
 * @throws as `verifyLog` for the offered one; `malformed` when it is of another identity
 */
export function mergeLogs(known: readonly SignedEntry[], offered: readonly SignedEntry[]): MergedLog {
  const mine = verifyLog(known)
  const theirs = verifyLog(offered)
  if (mine.identity !== theirs.identity) throw new MyceliumError('malformed', { reason: 'identity' })
  const common = commonLength(known, offered)
  const keep = { entries: known, state: mine, fork: undefined }
  if (common === offered.length) return { ...keep, outcome: common === known.length ? 'same' : 'behind' }
  const take = { entries: offered, state: theirs, fork: undefined }
  if (common === known.length) return { ...take, outcome: 'extended' }

  const before = verifyLog(known.slice(0, common))
  const ours = rankBranch(before, mine, known.slice(common))
  const other = rankBranch(before, theirs, offered.slice(common))
  const fork = ours.firstSigner === other.firstSigner ? { first: known[common]!, second: offered[common]! } : undefined
  return precedes(other, ours) ? { ...take, outcome: 'replaced', fork } : { ...keep, outcome: 'kept', fork }
}

/** Entries that both begin with, by hash: a second signature over the same body is the same statement. */
function commonLength(a: readonly SignedEntry[], b: readonly SignedEntry[]): number {
  let count = 0
  while (count < a.length && count < b.length && equalConstantTime(a[count]!.body, b[count]!.body)) count += 1
  return count
}

interface BranchRank {
  readonly generation: number
  /** Sequence of the first entry that a root key signed; infinite when none did. */
  readonly rootAt: number
  readonly rootEntryHash: Uint8Array
  /** Sequence of the entry that added the device which signed the branch's first entry. */
  readonly grantAt: number
  readonly firstSigner: string
}

function rankBranch(before: LogState, after: LogState, entries: readonly SignedEntry[]): BranchRank {
  const bodies = entries.map(readEntry)
  const rootIndex = bodies.findIndex(({ signer }) => signer.kind === 'root')
  const first = bodies[0]!
  return {
    generation: after.generation,
    rootAt: rootIndex < 0 ? Number.POSITIVE_INFINITY : bodies[rootIndex]!.sequence,
    rootEntryHash: rootIndex < 0 ? new Uint8Array() : entryHash(entries[rootIndex]!),
    grantAt: first.signer.kind === 'device' ? before.devices.get(first.signer.device)!.addedAt : -1,
    firstSigner: signerName(first, before),
  }
}

/** The key that signed, by name: a rotation is signed by the next root key, not by the current one. */
function signerName({ signer, content }: EntryBody, { generation }: LogState): string {
  if (signer.kind === 'device') return signer.device
  return `root ${content.kind === 'rotate-root' ? generation + 1 : generation}`
}

/** Where one key signed both, and nothing stronger decides, the known branch stays: it is the pinned one. */
function precedes(a: BranchRank, b: BranchRank): boolean {
  if (a.generation !== b.generation) return a.generation > b.generation
  if (a.rootAt !== b.rootAt) return a.rootAt < b.rootAt
  if (a.firstSigner === b.firstSigner) return false
  const byHash = compare(a.rootEntryHash, b.rootEntryHash)
  if (byHash !== 0) return byHash < 0
  return a.grantAt < b.grantAt
}

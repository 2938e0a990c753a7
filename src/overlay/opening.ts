/**
 * How two gateways agree on one link (docs/protocol/overlay.md §2): the opener proposes, the other answers, and only an
 * accepted stream carries bytes, so that nothing accepted is lost when both propose at once.
 */
import type { GatewayId } from '../core/ids.ts'

const version = 1
/** Random per process run, so that a restarted gateway is told from one that proposes late. */
const instanceBytes = 8
const linkIdBytes = 8
export const proposalBytes = 1 + instanceBytes + linkIdBytes * 2
export const answerBytes = 1 + instanceBytes

export interface Proposal {
  readonly instance: bigint
  /** Chosen by the opener, random. */
  readonly id: bigint
  /** The last link between the two that the opener knows to be over, 0 for none: whoever still holds it lets go. */
  readonly after: bigint
}

export function encodeProposal(proposal: Proposal): Uint8Array {
  const bytes = Buffer.alloc(proposalBytes)
  bytes[0] = version
  bytes.writeBigUInt64BE(proposal.instance, 1)
  bytes.writeBigUInt64BE(proposal.id, 9)
  bytes.writeBigUInt64BE(proposal.after, 17)
  return bytes
}

/** `undefined` for another version or length. */
export function decodeProposal(bytes: Uint8Array): Proposal | undefined {
  if (bytes.length !== proposalBytes || bytes[0] !== version) return undefined
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    instance: view.readBigUInt64BE(1),
    id: view.readBigUInt64BE(9),
    after: view.readBigUInt64BE(17),
  }
}

export const verdicts = ['accepted', 'mine-first', 'linked', 'busy'] as const
/**
 * `mine-first`: both proposed, the answerer's proposal stands; `linked`: the answerer holds a live link already and
 * checks it now; `busy`: too many proposals, or stopping.
 */
export type Verdict = (typeof verdicts)[number]

export function encodeAnswer(verdict: Verdict, instance: bigint): Uint8Array {
  const bytes = Buffer.alloc(answerBytes)
  bytes[0] = verdicts.indexOf(verdict)
  bytes.writeBigUInt64BE(instance, 1)
  return bytes
}

export function decodeAnswer(bytes: Uint8Array): { readonly verdict: Verdict; readonly instance: bigint } | undefined {
  const verdict = verdicts[bytes[0] ?? verdicts.length]
  if (bytes.length !== answerBytes || verdict === undefined) return undefined
  return { verdict, instance: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readBigUInt64BE(1) }
}

/** What the answerer holds when a proposal arrives. */
export interface Holding {
  readonly self: GatewayId
  readonly peer: GatewayId
  /** The live link and the peer's instance it was agreed with. */
  readonly live: { readonly id: bigint; readonly instance: bigint } | undefined
  /** Whether a proposal of our own is with the peer, unanswered. */
  readonly isProposing: boolean
}

/** Pure rule: of two proposals that cross, the one of the lower gateway id stands. */
export function decide(holding: Holding, proposal: Proposal): 'accepted' | 'mine-first' | 'linked' {
  if (holding.live !== undefined) {
    if (proposal.instance !== holding.live.instance) return 'accepted'
    if (proposal.after !== holding.live.id) return 'linked'
    // both move the link to a better connection
  }
  return holding.isProposing && holding.self < holding.peer ? 'mine-first' : 'accepted'
}

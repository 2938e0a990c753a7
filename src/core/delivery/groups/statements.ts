/**
 * ◆ What members of a group send each other, inside their sessions: the payload of a message's `group` part. Whoever
 * sends a statement only carries it: operations and envelopes prove themselves. Format: docs/protocol/groups.md.
 */
import {
  array,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  optional,
  record,
  u32,
  u64,
  union,
  versionByte,
} from '../../codec.ts'
import { type SignedEnvelope, signedEnvelopeCodec } from '../../group/envelope.ts'
import { type ChainHead, chainKeyBytes, seedBytes } from '../../group/group-keys.ts'
import { deviceId, headsCodec, type SignedGroupOp, signedGroupOpCodec } from '../../group/op.ts'
import type { Places } from '../../conversation/group-places.ts'
import type { DeviceId, GroupId, GroupOpId, Identity, MessageId } from '../../ids.ts'
import { limits } from '../../limits.ts'

export type Statement =
  | { readonly kind: 'ops'; readonly ops: readonly SignedGroupOp[] }
  /** A message, sealed for those who hold the epoch's keys; where somebody asked for it, with its id. */
  | { readonly kind: 'envelope'; readonly envelope: SignedEnvelope; readonly asked: MessageId | undefined }
  /** To those who were members when an epoch was made. */
  | { readonly kind: 'seed'; readonly epoch: GroupOpId; readonly seed: Uint8Array }
  /** Where chains of an epoch stand: to those who came later, and of devices that came later. */
  | { readonly kind: 'chains'; readonly epoch: GroupOpId; readonly chains: readonly ChainHead[] }
  /** Signed records of members whom the receiver may not know. */
  | { readonly kind: 'bundles'; readonly bundles: readonly Uint8Array[] }
  /** Where the conversation stood when the receiver joined: these need not be asked for. */
  | { readonly kind: 'base'; readonly heads: readonly BaseHead[] }
  /** What was said before, where the group's rules share it with those who join: as whoever added them vouches. */
  | { readonly kind: 'history'; readonly messages: readonly Uint8Array[] }
  | { readonly kind: 'wanted'; readonly ops: readonly GroupOpId[]; readonly messages: readonly MessageId[] }
  /** The sender has read up to these. */
  | { readonly kind: 'read'; readonly heads: readonly MessageId[] }
  /** An admin asks the others to vouch that the group stood there. */
  | { readonly kind: 'vouchFor'; readonly heads: readonly GroupOpId[] }
  /** By one of them, for a checkpoint with these parents. */
  | {
      readonly kind: 'vouched'
      readonly heads: readonly GroupOpId[]
      readonly signature: Uint8Array
      readonly device: DeviceId
    }
  | { readonly kind: 'absent'; readonly messages: readonly MessageId[] }
  /** Which messages of a removed member's device stand is settled from the last one backwards: these are missing here. */
  | ({ readonly kind: 'placesWanted' } & Places)
  /** Chains of this epoch are missing here. */
  | { readonly kind: 'chainsWanted'; readonly epoch: GroupOpId }

/** Where a statement came from, and whose it is to be. */
export interface Delivery {
  readonly account: Identity
  readonly from: Identity
  readonly id: GroupId
}

export interface BaseHead {
  readonly id: MessageId
  readonly rank: number
}

const messageIds = array(hexId<MessageId>(32), limits.messagesAskedMax)
const opId = hexId<GroupOpId>(32)

const statementCodec = union<Statement>({
  ops: { tag: 0, codec: record({ kind: literal('ops'), ops: array(signedGroupOpCodec, limits.groupStatementOpsMax) }) },
  envelope: {
    tag: 1,
    codec: record({
      kind: literal('envelope'),
      envelope: signedEnvelopeCodec,
      asked: optional(hexId<MessageId>(32)),
    }),
  },
  seed: { tag: 2, codec: record({ kind: literal('seed'), epoch: opId, seed: fixed(seedBytes) }) },
  chains: {
    tag: 8,
    codec: record({
      kind: literal('chains'),
      epoch: opId,
      chains: array(
        record<ChainHead>({ device: deviceId, index: u32, key: fixed(chainKeyBytes) }),
        limits.groupGrantChainsMax,
      ),
    }),
  },
  bundles: {
    tag: 3,
    codec: record({
      kind: literal('bundles'),
      bundles: array(bytes(limits.groupPartBytesMax), limits.groupStatementOpsMax),
    }),
  },
  base: {
    tag: 4,
    codec: record({
      kind: literal('base'),
      heads: array(record<BaseHead>({ id: hexId<MessageId>(32), rank: u64 }), limits.conversationHeadsMax),
    }),
  },
  wanted: {
    tag: 5,
    codec: record({
      kind: literal('wanted'),
      ops: array(opId, limits.messagesAskedMax),
      messages: messageIds,
    }),
  },
  history: {
    tag: 9,
    codec: record({
      kind: literal('history'),
      messages: array(bytes(limits.groupEnvelopeBytesMax), limits.groupStatementOpsMax),
    }),
  },
  read: { tag: 12, codec: record({ kind: literal('read'), heads: messageIds }) },
  vouchFor: { tag: 10, codec: record({ kind: literal('vouchFor'), heads: headsCodec }) },
  vouched: {
    tag: 11,
    codec: record({ kind: literal('vouched'), heads: headsCodec, signature: fixed(64), device: deviceId }),
  },
  absent: { tag: 6, codec: record({ kind: literal('absent'), messages: messageIds }) },
  placesWanted: { tag: 13, codec: record({ kind: literal('placesWanted'), device: deviceId, first: u32, end: u32 }) },
  chainsWanted: { tag: 7, codec: record({ kind: literal('chainsWanted'), epoch: opId }) },
})

const statementsCodec: Codec<{ readonly version: 1; readonly statements: readonly Statement[] }> = record({
  version: versionByte(1),
  statements: array(statementCodec, limits.groupStatementsMax),
})

export const encodeStatements = (statements: readonly Statement[]): Uint8Array =>
  encode(statementsCodec, { version: 1, statements })

/** @throws `malformed`, `too-large` */
export const decodeStatements = (encoded: Uint8Array): readonly Statement[] =>
  decode(statementsCodec, encoded).statements

/** Statements in their order, in as few payloads as hold them. */
export function* inPayloads(statements: readonly Statement[]): Generator<Uint8Array> {
  let batch: Statement[] = []
  let length = 0
  for (const statement of statements.flatMap(cut)) {
    const size = encode(statementCodec, statement).length
    if (batch.length > 0 && (length + size > payloadBytes || batch.length >= limits.groupStatementsMax)) {
      yield encodeStatements(batch)
      batch = []
      length = 0
    }
    batch.push(statement)
    length += size
  }
  if (batch.length > 0) yield encodeStatements(batch)
}

const payloadBytes = limits.groupPartBytesMax - 16

/** Long lists one by one, so that they can be spread over payloads. */
function cut(statement: Statement): readonly Statement[] {
  if (statement.kind === 'ops') return statement.ops.map((op) => ({ kind: 'ops', ops: [op] }))
  if (statement.kind === 'bundles') return statement.bundles.map((bundle) => ({ kind: 'bundles', bundles: [bundle] }))
  if (statement.kind === 'history')
    return statement.messages.map((message) => ({ kind: 'history', messages: [message] }))
  return [statement]
}

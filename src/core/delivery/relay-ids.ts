/** ◆ How an owner's entries at a relay name their queue (docs/protocol/relay.md §1). */
import { labelledHash } from '../crypto/kdf.ts'

const receiveIdBytes = 16

/** @param owner Ed25519 public key, 32 bytes @param sendId public half of the queue's send key, 32 bytes */
export const receiveIdOf = (owner: Uint8Array, sendId: Uint8Array): Uint8Array =>
  labelledHash('mycelium/relay/receive-id/1', owner, sendId).subarray(0, receiveIdBytes)

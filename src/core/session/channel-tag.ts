/**
 * ◆ Channel tags: eight bytes in front of each frame on a stream, by which the receiving gateway finds the session
 * without trying any key. One per session, direction and week; the weeks before and after are accepted, so that two
 * clocks may differ. Format: docs/protocol/frames.md.
 */
import { blake2b } from '../crypto/kdf.ts'
import type { Role } from './kem-ratchet.ts'

export const channelTagBytes = 8
const weekMs = 7 * 24 * 3600_000
const label = Buffer.from('mycelium/session/tag/1', 'ascii')

/** Number of the week since 1970-01-01T00:00Z, a Thursday. */
export const tagWeek = (nowMs: number): number => Math.floor(Math.max(0, nowMs) / weekMs)

export function channelTag(contactKey: Uint8Array, sender: Role, week: number): Uint8Array {
  const input = Buffer.alloc(label.length + 5)
  input.set(label)
  input[label.length] = sender === 'initiator' ? 0 : 1
  input.writeUInt32BE(week, label.length + 1)
  return blake2b(16, input, contactKey).subarray(0, channelTagBytes)
}

/** Of last week, this week and the next one. */
export const acceptedTags = (contactKey: Uint8Array, sender: Role, nowMs: number): readonly Uint8Array[] => {
  const week = tagWeek(nowMs)
  return [Math.max(0, week - 1), week, week + 1].map((each) => channelTag(contactKey, sender, each))
}

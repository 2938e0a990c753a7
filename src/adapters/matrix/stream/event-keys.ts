/** Which event is which: of a message its own id, of all else a hash of what it is for, the same on every gateway that sees the same. */
import { fromUtf8, toHex } from '../../../core/bytes.ts'
import { labelledHash } from '../../../core/crypto/kdf.ts'
import type { MessageId } from '../../../core/ids.ts'
import type { EventKey } from './rows.ts'

export const derivedKey = (...words: readonly string[]): EventKey =>
  toHex(labelledHash('mycelium/matrix-event/1', fromUtf8(words.join('\u0000')))) as EventKey

export const keyOfMessage = (id: MessageId): EventKey => id as string as EventKey
export const keyOfReaction = (message: MessageId, reaction: string): EventKey =>
  derivedKey('reaction', message, reaction)
export const keyOfUnreaction = (message: MessageId, target: EventKey): EventKey =>
  derivedKey('unreaction', message, target)
/** The same in both rooms, so that the message that tells of the call is not a second event beside it. */
export const keyOfCall = (callId: string): EventKey => derivedKey('call', callId)

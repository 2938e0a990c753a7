/**
 * Calls between two people (Client-Server API, "Voice over IP"): what their programs tell each other goes as signals,
 * quickly and to who is there, and stands in the rooms of both as events. That somebody called is a message of the
 * conversation, without what only programs understand.
 */
import type { Ambient } from '../../../core/ambient.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import type { HeardCall } from '../../../core/delivery/call-signals.ts'
import { idOfPartner } from '../../../core/conversation/conversations.ts'
import type { Identity } from '../../../core/ids.ts'
import type { WriteTx } from '../../../core/store/store.ts'
import type { Said } from '../events/said.ts'
import type { Sending } from '../events/send.ts'
import type { Caller, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { MatrixServices } from '../services.ts'
import type { EventKey, RoomRow } from '../stream/rows.ts'
import { derivedKey, keyOfCall } from '../stream/event-keys.ts'
import type { Stream } from '../stream/stream.ts'
import { callEvent } from './call-event.ts'
import { withoutHosts } from './candidates.ts'

interface CallParts {
  readonly services: MatrixServices
  readonly stream: Stream
  readonly said: Said
  readonly ambient: Ambient
}

export const isCall = (type: string): boolean => type.startsWith('m.call.')
const inviteType = 'm.call.invite'

export class Calls implements Disposable {
  readonly #parts: CallParts
  readonly #stop: () => void

  constructor(parts: CallParts) {
    this.#parts = parts
    this.#stop = parts.services.callSignals.watch((account, heard) => this.#heard(account, heard))
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  /** @throws MatrixError, what `CallSignals.send` throws */
  async send(caller: Caller, { room, type, content: given, transaction }: Sending): Promise<EventKey> {
    const { services, said } = this.#parts
    const { account } = caller
    const { partner } = room
    if (partner.kind !== 'direct' || partner.peer === account)
      throw new MatrixError('M_FORBIDDEN', 'Calls are between two people: call from the chat with one of them')
    const content = services.hostCandidates ? given : withoutHosts(given)
    const callId = typeof content['call_id'] === 'string' ? content['call_id'] : undefined
    if (callId === undefined) throw new MatrixError('M_BAD_JSON', 'call_id: a string is expected')
    const path = `call ${room.conversation} ${type}`
    const known = services.store.read((tx) => said.before(tx, caller, path, transaction))
    if (known !== undefined) return known
    const payload = fromUtf8(JSON.stringify({ type, content }))
    const told = services.callSignals.send(account, partner.peer, { protocol: 'matrix', payload })
    return await services.store.write((tx) => {
      const key = this.#append(tx, account, room, { by: account, type, content, callId })
      said.remember(tx, caller, path, transaction, key)
      if (type !== inviteType) return key
      const part = { kind: 'call', protocol: 'matrix', payload: fromUtf8(JSON.stringify(outlineOf(callId))) } as const
      services.chats.sayIn(tx, account, partner.peer, { parts: [part] })
      // the program rings until it hears something
      if (told === 0)
        this.#append(tx, account, room, {
          by: partner.peer,
          type: 'm.call.hangup',
          content: { call_id: callId, party_id: 'gateway', version: content['version'] ?? 0, reason: 'invite_timeout' },
          callId,
        })
      return key
    })
  }

  #heard(account: Identity, { from, protocol, payload }: HeardCall): void {
    const event = protocol === 'matrix' ? callEvent(payload) : undefined
    const callId = event?.content['call_id']
    if (event === undefined || typeof callId !== 'string') return
    const { services, stream, ambient } = this.#parts
    const room = services.store.read((tx) =>
      stream.room(tx, account, idOfPartner(account, { kind: 'direct', peer: from })),
    )
    if (room?.membership !== 'join') return
    services.store
      .write((tx) => void this.#append(tx, account, room, { by: from, ...event, callId }))
      .catch(() => ambient.log.warn('matrix.call-not-told'))
  }

  #append(
    tx: WriteTx,
    account: Identity,
    { conversation }: RoomRow,
    {
      by,
      type,
      content,
      callId,
    }: { readonly by: Identity; readonly type: string; readonly content: Json; readonly callId: string },
  ): EventKey {
    const { stream, ambient } = this.#parts
    const nonce = Buffer.from(ambient.random.bytes(16)).toString('hex')
    const key = type === inviteType ? keyOfCall(callId) : derivedKey('call-step', callId, nonce)
    stream.appendEvent(tx, account, {
      room: conversation,
      key,
      source: { kind: 'note', by, type, content: JSON.stringify(content), atMs: ambient.clock.nowMs() },
    })
    return key
  }
}

/** What of an invitation everybody may keep. */
const outlineOf = (callId: string): Json => ({ type: inviteType, content: { call_id: callId } })

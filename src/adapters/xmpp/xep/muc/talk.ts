/** What is said in rooms. */
import type { FeedStep } from '../../../../core/conversation/conversations.ts'
import type { Heard } from '../../../../core/delivery/signals.ts'
import type { GroupId, Identity } from '../../../../core/ids.ts'
import type { Element } from '../../element.ts'
import type { IqHandler, Stanza } from '../../feature.ts'
import { StanzaError } from '../../stanza-error.ts'
import type { Seat } from './attendance.ts'
import type { MucParts } from './parts.ts'
import type { Room } from './rooms.ts'

export class RoomTalk {
  readonly handlers: readonly IqHandler[] = []
  readonly #parts: MucParts

  constructor(parts: MucParts) {
    this.#parts = parts
  }

  async say(_seat: Seat, _message: Stanza): Promise<void> {
    throw new StanzaError('service-unavailable')
  }
  historyOf(_seat: Seat, _room: Room, _wanted: Element | undefined): readonly Element[] {
    return []
  }
  tell(_account: Identity, _group: GroupId, _step: FeedStep): void {
    void this.#parts
  }
  hear(_account: Identity, _heard: Heard): void {
    void this.#parts
  }
}

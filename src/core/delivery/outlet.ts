/**
 * The ways by which a channel's frames leave: the link to the peer's gateway, or queues at relays while it is away
 * (relay/outlet.ts).
 */
import type { BlobRoot } from '../ids.ts'
import { limits } from '../limits.ts'
import { encodeItems } from '../session/items.ts'
import type { Item } from './items.ts'
import type { QueuedRef } from './outbox.ts'
import type { Link } from './ports.ts'

/** Frames of one session that are sealed and whose state is durable. */
export interface SentFrames {
  /** Channel tag in front of each. */
  readonly tag: Uint8Array
  readonly frames: readonly Uint8Array[]
  /** How many of the frames, in their order, make one item each: a part of one is worth nothing. */
  readonly units: readonly number[]
  /** The messages in them, each with the root of its blob if it has one. */
  readonly sent: readonly {
    readonly queued: QueuedRef
    readonly frames: number
    readonly root: BlobRoot | undefined
  }[]
}

export interface Outlet {
  readonly kind: 'link' | 'relay'
  /** The link, where it is one. */
  readonly link: Link | undefined
  readonly closed: AbortSignal
  /** References up to this number have gone this way already. */
  readonly after: number
  /** Whether what stays unanswered for some seconds is to go once more. */
  readonly resends: boolean
  /** How many frames may be unanswered now. */
  readonly framesMax: number
  takes(item: Item): boolean
  /** Resolves when there is room for more; a rejection means that the way is over. */
  send(sealed: SentFrames): Promise<void>
  /** The channel no longer uses it. */
  close(): void
  /** The channel could not go on. */
  failed(code: string): void
}

export class LinkOutlet implements Outlet {
  readonly kind = 'link'
  readonly after = 0
  readonly resends = true
  readonly framesMax = limits.inFlightMax
  readonly link: Link

  constructor(link: Link) {
    this.link = link
  }

  get closed(): AbortSignal {
    return this.link.closed
  }

  takes(): boolean {
    return true
  }

  async send({ tag, frames }: SentFrames): Promise<void> {
    await this.link.send(encodeItems(tag, frames))
  }

  /** Other channels go on over it. */
  close(): void {}

  failed(code: string): void {
    this.link.close(code)
  }
}

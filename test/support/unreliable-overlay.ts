/** Loses, doubles and swaps what is sent over links, item by item, as no real link would: the sessions above must cope. */
import { concat } from '../../src/core/bytes.ts'
import type { Link, Overlay } from '../../src/core/delivery/ports.ts'
import { itemBytes } from '../../src/core/session/items.ts'

export interface Faults {
  /** Shares of items, 0 … 1. */
  readonly loss: number
  readonly doubles: number
  /** Held back and sent after one to eight others, or after a moment when there are none. */
  readonly swaps: number
  /** Draws the fate of each item; `Math.random` where absent. */
  readonly random?: () => number
}

/** `faults` is read for each item: who keeps it may change it. */
export function unreliable(overlay: Overlay, faults: Faults): Overlay {
  const links = new WeakMap<Link, Link>()
  const faulty = (link: Link): Link => {
    const known = links.get(link)
    if (known !== undefined) return known
    const made = faultyLink(link, faults)
    links.set(link, made)
    return made
  }
  return {
    self: overlay.self,
    locators: () => overlay.locators(),
    listeners: () => overlay.listeners(),
    peers: () => overlay.peers(),
    ask: async (...question) => await overlay.ask(...question),
    link: async (...to) => faulty(await overlay.link(...to)),
    serve: (handlers) => overlay.serve({ ...handlers, onLink: (link) => handlers.onLink(faulty(link)) }),
    ...(overlay.relays === undefined ? {} : { relays: overlay.relays }),
    [Symbol.asyncDispose]: async () => await overlay[Symbol.asyncDispose](),
  }
}

const heldMsMax = 100

function faultyLink(link: Link, faults: Faults): Link {
  const random = faults.random ?? Math.random
  let held: { readonly item: Uint8Array; after: number } | undefined
  const release = (): readonly Uint8Array[] => {
    const late = held === undefined ? [] : [held.item]
    held = undefined
    return late
  }
  const fate = (item: Uint8Array): readonly Uint8Array[] => {
    if (random() < faults.loss) return []
    if (held === undefined && random() < faults.swaps) {
      const holding = { item: Uint8Array.from(item), after: 1 + Math.floor(random() * 8) }
      held = holding
      setTimeout(() => {
        if (held === holding) void link.send(concat(...release())).catch(() => {})
      }, heldMsMax).unref()
      return []
    }
    const sent = random() < faults.doubles ? [item, item] : [item]
    if (held === undefined) return sent
    held.after -= 1
    return held.after > 0 ? sent : [...sent, ...release()]
  }
  return {
    peer: link.peer,
    initiator: link.initiator,
    closed: link.closed,
    incoming: link.incoming,
    close: (reason) => link.close(reason),
    async send(bytes) {
      const items = [...itemsOf(bytes)].flatMap(fate)
      if (items.length > 0) await link.send(concat(...items))
    },
  }
}

/** A send holds whole items. */
function* itemsOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const end = at + itemBytes(bytes[at]!)
    yield bytes.subarray(at, end)
    at = end
  }
}

/** Threads of messages: trees whose inner nodes may stand for messages that are not there. Never recursive: a thread may be as long as a mailbox. */
import type { Uid } from '../../../core/ids.ts'

/** A message to be threaded; the given order is that of the mailbox. */
export interface ThreadMessage {
  readonly uid: Uid
  readonly sentMs: number
  readonly arrivedMs: number
  /** Collation key of its base subject. */
  readonly subject: string
  readonly isReply: boolean
  /** 0 where there is none. */
  readonly id: number
  readonly references: readonly number[]
}

export interface Node {
  /** `undefined`: a dummy. */
  readonly message: ThreadMessage | undefined
  children: Node[]
}

/** `(3 6 (4 23)(44 7 96))` (RFC 5256 §4), in pieces. @param numberOf how the client knows a message */
export function* formatThreads(threads: readonly Node[], numberOf: (uid: Uid) => number): Generator<string> {
  for (const thread of threads) {
    // Texts and nodes still to be written, last one first.
    const waiting: (Node | string)[] = [')', thread, '(']
    while (waiting.length > 0) {
      const next = waiting.pop()!
      if (typeof next === 'string') {
        yield next
        continue
      }
      const { message, children } = next
      if (message !== undefined) yield `${numberOf(message.uid)}${children.length > 0 ? ' ' : ''}`
      if (children.length === 1) waiting.push(children[0]!)
      else for (const child of children.toReversed()) waiting.push(')', child, '(')
    }
  }
}

/** Oldest first by the Date field; equal dates in the order of the mailbox (RFC 5256 §2.2). */
export function bySentDate(a: Node, b: Node): number {
  const one = firstMessage(a)
  const other = firstMessage(b)
  return one.sentMs - other.sentMs || one.uid - other.uid
}

/** The message itself, or a dummy's oldest child: that one is first once children are sorted. */
export function firstMessage(node: Node): ThreadMessage {
  if (node.message !== undefined) return node.message
  let first: ThreadMessage | undefined
  for (const child of node.children) {
    const message = child.message!
    const isEarlier = first === undefined || message.sentMs < first.sentMs
    if (isEarlier || (message.sentMs === first!.sentMs && message.uid < first!.uid)) first = message
  }
  return first!
}

/** What was said in a hall last, and what it is about: for who enters (XEP-0045 §7.2.13, §7.2.15). */
import { limits } from '../../../../core/limits.ts'
import type { Client } from '../../client.ts'
import { el, type Element, serialise } from '../../element.ts'
import { bareOf, fullOf } from '../../jid.ts'
import { ns } from '../../messages/namespaces.ts'
import type { Hall } from './hall.ts'

interface Said {
  readonly atMs: number
  readonly stanza: Element
  readonly size: number
}

/** What was said last, for who enters; gone with the hall. */
export class History {
  readonly #said: Said[] = []
  #size = 0

  add(stanza: Element, atMs: number): void {
    const size = serialise(stanza).length
    this.#said.push({ stanza, atMs, size })
    this.#size += size
    while (this.#said.length > limits.xmppRoomHistoryDefault || this.#size > limits.xmppHallHistoryCharsMax)
      this.#size -= this.#said.shift()!.size
  }

  /** The latest first. */
  latest = (): readonly Said[] => this.#said.toReversed()
}

/** For who enters: also where there is none (XEP-0045 §7.2.15). */
export function subjectOf(hall: Hall, { jid }: Client): Element {
  const { subject } = hall
  const from = fullOf(hall.place(subject?.nick))
  return el(
    'message',
    { type: 'groupchat', from, to: fullOf(jid) },
    el('subject', {}, subject?.text ?? ''),
    subject && el(`delay ${ns.delay}`, { from: bareOf(hall.jid), stamp: new Date(subject.atMs).toISOString() }),
  )
}

/**
 * One BOSH session (XEP-0124): a stream whose client asks over and over. Requests are taken in the order of their
 * numbers, one of them waits here for what there is to say, and the last answers are kept for those who ask again.
 */
import { MyceliumError } from '../../../../core/errors.ts'
import { limits } from '../../../../core/limits.ts'
import { isLoopback } from '../../../wire/channel.ts'
import type { Element } from '../../element.ts'
import { el } from '../../element.ts'
import { streamErrorElement } from '../../stream-error.ts'
import type { ReadBounds, StreamError, StreamEvent, Transport } from '../../transport.ts'
import { standalone, standaloneStanzas } from '../framing.ts'
import { Inbox } from '../inbox.ts'
import { type BindingCondition, type RequestBody, terminated, writeBody } from './body.ts'
import { KeySequence } from './key-sequence.ts'

/** Answers one HTTP request. */
export type Respond = (body: string) => void

interface Held {
  timer: NodeJS.Timeout
  /** Undefined once its connection is gone: its number may come again. */
  respond: Respond | undefined
}

export interface BoshOptions {
  readonly sid: string
  readonly remote: string
  readonly isSecure: boolean
  /** It is over, and forgotten. */
  readonly onGone: () => void
  /** How long nobody may ask. */
  readonly inactivityMs?: number
}

const numberIn = (text: string | undefined, max: number): number =>
  /^\d{1,9}$/.test(text ?? '') ? Math.min(max, Number(text)) : max

export class BoshSession implements Transport {
  readonly sid: string
  readonly remote: string
  readonly isSecure: boolean
  readonly canStartTls = false
  readonly #onGone: () => void
  readonly #inactivityMs: number
  readonly #waitMs: number
  /** Requests that may wait here. */
  readonly #hold: number
  readonly #version: string
  readonly #keys: KeySequence
  readonly #inbox = new Inbox<StreamEvent>()
  /** By number, in order. */
  readonly #held = new Map<number, Held>()
  /** Came before one that has to be taken first. */
  readonly #early = new Map<number, { readonly body: RequestBody; readonly respond: Respond }>()
  /** Of the latest requests, for those who have not got them. */
  readonly #answers = new Map<number, string>()
  #lastRid: number
  #outgoing: string[] = []
  #outgoingBytes = 0
  /** What the first answer says of the session; undefined until its stream is open, and after it was said. */
  #opening: Readonly<Record<string, string | number | undefined>> | undefined
  #isOpen = false
  /** The last word, for every request from then on. */
  #last: string | undefined
  #silence: NodeJS.Timeout | undefined
  #isAnswering = false
  #emptyAtMs = -Infinity
  #pausedMs = 0
  #stanzaBytesMax: number = limits.xmppStanzaBeforeLoginBytesMax

  constructor(
    { sid, remote, isSecure, onGone, inactivityMs = limits.boshInactivitySeconds * 1000 }: BoshOptions,
    first: RequestBody,
    respond: Respond,
  ) {
    this.sid = sid
    this.remote = remote
    this.isSecure = isSecure
    this.#onGone = onGone
    this.#inactivityMs = inactivityMs
    this.#waitMs = numberIn(first.attrs.wait, limits.boshWaitSecondsMax) * 1000
    this.#hold = numberIn(first.attrs.hold, limits.boshHoldMax)
    this.#version = commonVersion(first.attrs.ver)
    this.#keys = new KeySequence(first.attrs.newkey)
    this.#lastRid = first.rid
    this.#inbox.push(openEvent(first))
    this.#hear(first)
    this.#keep(first.rid, respond)
  }

  get isPrivate(): boolean {
    return this.isSecure || isLoopback(this.remote)
  }
  get waitingBytes(): number {
    return this.#outgoingBytes
  }
  /** How many requests may be open at once, and how far ahead of each other they may be. */
  get #window(): number {
    return this.#hold + 1
  }

  /** @param respond called once, sooner or later */
  receive(body: RequestBody, respond: Respond): void {
    if (this.#last !== undefined) respond(this.#last)
    else if (body.rid <= this.#lastRid) this.#again(body.rid, respond)
    else if (body.rid > this.#lastRid + this.#window) this.#break('item-not-found', respond)
    else {
      this.#early.get(body.rid)?.respond(writeBody({}))
      this.#early.set(body.rid, { body, respond })
      this.#takeInOrder()
    }
  }

  /** XEP-0124 §14.2: the answer was lost, or its connection. */
  #again(rid: number, respond: Respond): void {
    const answer = this.#answers.get(rid)
    const held = this.#held.get(rid)
    if (answer !== undefined) return respond(answer)
    if (held === undefined) return this.#break('item-not-found', respond)
    held.respond?.(writeBody({}))
    held.respond = respond
    clearTimeout(held.timer)
    held.timer = this.#waitFor(rid)
    this.#listen()
    this.#answerSoon()
  }

  #takeInOrder(): void {
    for (;;) {
      const next = this.#early.get(this.#lastRid + 1)
      if (next === undefined || this.#last !== undefined) return
      this.#early.delete(this.#lastRid + 1)
      const { body, respond } = next
      if (!this.#keys.accepts(body.attrs)) return this.#break('item-not-found', respond)
      const isTooLong = body.bytes > this.#stanzaBytesMax + limits.boshWrapperBytesMax
      if (isTooLong || this.#isTooFast(body)) return this.#break('policy-violation', respond)
      this.#lastRid = body.rid
      if (body.isRestart) this.#inbox.push(openEvent(body))
      this.#hear(body)
      this.#keep(body.rid, respond)
    }
  }

  /** XEP-0124 §12: a client that nothing is held for asks only now and then. */
  #isTooFast({ stanzas, isTerminate, isRestart, attrs }: RequestBody): boolean {
    if (this.#hold > 0) return false
    const isEmpty = stanzas.length === 0 && !isTerminate && !isRestart && attrs.pause === undefined
    const nowMs = performance.now()
    const isTooFast = isEmpty && nowMs - this.#emptyAtMs < limits.boshPollingSeconds * 1000
    this.#emptyAtMs = isEmpty ? nowMs : -Infinity
    return isTooFast
  }

  #hear({ stanzas, isTerminate, attrs }: RequestBody): void {
    for (const element of stanzas) this.#inbox.push({ kind: 'stanza', element })
    if (isTerminate) this.#inbox.push({ kind: 'end', isOrderly: true })
    // XEP-0124 §10: it goes away for longer than one may who says nothing; the answers tell it that it may
    this.#pausedMs = attrs.pause === undefined ? 0 : numberIn(attrs.pause, limits.boshPauseSecondsMax) * 1000
  }

  #keep(rid: number, respond: Respond): void {
    this.#held.set(rid, { timer: this.#waitFor(rid), respond })
    this.#listen()
    this.#answerSoon()
  }

  /** It is answered then, whatever there is to say. */
  #waitFor(rid: number): NodeJS.Timeout {
    return setTimeout(() => this.#answer(rid), this.#waitMs)
  }

  /** The connection of a request is gone; its number may come again. */
  lost(rid: number, respond: Respond): void {
    const held = this.#held.get(rid)
    if (held?.respond === respond) held.respond = undefined
    if (this.#early.get(rid)?.respond === respond) this.#early.delete(rid)
    this.#listen()
  }

  /** Somebody must wait here, or ask soon (XEP-0124 §10). */
  #listen(): void {
    clearTimeout(this.#silence)
    if (this.#waiting().length > 0) return
    const ms = this.#last === undefined ? this.#pausedMs || this.#inactivityMs : limits.boshLastWordMs
    this.#silence = setTimeout(() => this.#goAway(), ms)
  }

  #goAway(): void {
    this.#inbox.end()
    this.#last ??= terminated('item-not-found')
    this.#answerAll()
    clearTimeout(this.#silence)
    this.#onGone()
  }

  /** Numbers of requests that can be answered, in order. */
  #waiting(): readonly number[] {
    return [...this.#held].flatMap(([rid, { respond }]) => (respond === undefined ? [] : [rid])).sort((a, b) => a - b)
  }

  /** All that is said in one turn of the event loop goes into one answer. */
  #answerSoon(): void {
    if (this.#isAnswering) return
    this.#isAnswering = true
    setImmediate(() => {
      this.#isAnswering = false
      this.#answerDue()
    })
  }

  #answerDue(): void {
    if (!this.#isOpen && this.#last === undefined) return
    // a client that sends faster than it is heard has to wait with its next request
    if (this.#inbox.size > limits.boshStanzasAhead && this.#last === undefined) return
    for (const rid of this.#waiting()) {
      const isOver = this.#last !== undefined || this.#pausedMs > 0
      if (!isOver && this.#outgoing.length === 0 && this.#waiting().length <= this.#hold) return
      this.#answer(rid)
    }
  }

  /** With the last word. */
  #answerAll(): void {
    for (const rid of this.#waiting()) this.#answer(rid)
    for (const { respond } of this.#early.values()) respond(this.#last!)
    this.#early.clear()
  }

  #answer(rid: number): void {
    const held = this.#held.get(rid)
    if (held?.respond === undefined) return
    clearTimeout(held.timer)
    this.#held.delete(rid)
    const inside = this.#outgoing.join('')
    this.#outgoing = []
    this.#outgoingBytes = 0
    const body = this.#last ?? writeBody(this.#opening ?? {}, inside)
    if (this.#last === undefined) this.#opening = undefined
    this.#answers.set(rid, body)
    for (const old of this.#answers.keys()) if (old < rid - this.#window) this.#answers.delete(old)
    for (const [old, { timer }] of this.#held)
      if (old < rid - this.#window) {
        clearTimeout(timer)
        this.#held.delete(old)
      }
    this.#listen()
    held.respond(body)
  }

  /** The session ends over something that its client did (XEP-0124 §17.2). */
  #break(condition: BindingCondition, respond: Respond): void {
    this.#last = terminated(condition)
    respond(this.#last)
    this.#inbox.end()
    this.#answerAll()
    this.#listen()
  }

  async next({ stanzaBytesMax, idleMs }: ReadBounds): Promise<StreamEvent> {
    this.#stanzaBytesMax = stanzaBytesMax
    const event = await this.#inbox.next(idleMs)
    if (this.#inbox.size <= limits.boshStanzasAhead) this.#answerSoon()
    return event ?? { kind: 'end', isOrderly: false }
  }

  /** Each request is read by itself. */
  restart(): void {}

  open({ from, id }: Parameters<Transport['open']>[0]): void {
    if (this.#isOpen) return
    this.#isOpen = true
    this.#opening = {
      sid: this.sid,
      wait: this.#waitMs / 1000,
      requests: this.#window,
      hold: this.#hold,
      inactivity: this.#inactivityMs / 1000,
      maxpause: limits.boshPauseSecondsMax,
      polling: limits.boshPollingSeconds,
      ver: this.#version,
      from,
      authid: id,
      charsets: 'UTF-8',
      'xmpp:version': '1.0',
      'xmpp:restartlogic': 'true',
    }
  }

  send(element: Element): void {
    this.#say(standalone(element))
  }

  sendText(xml: string): void {
    for (const stanza of standaloneStanzas(xml)) this.#say(stanza)
  }

  #say(text: string): void {
    if (this.#last !== undefined) return
    this.#outgoing.push(text)
    this.#outgoingBytes += text.length
    this.#answerSoon()
  }

  /** It leaves with the client's next request. */
  async flush(): Promise<void> {
    await Promise.resolve()
  }

  async startTls(): Promise<void> {
    await Promise.reject(new TypeError('BOSH is inside TLS from the start or not at all'))
  }

  channelBinding(): undefined {
    return undefined
  }

  async end(why?: StreamError): Promise<void> {
    const inside = this.#outgoing.join('') + (why === undefined ? '' : standalone(streamErrorElement(why)))
    const condition = why === undefined ? undefined : conditionOf(why)
    this.#last ??= writeBody({ ...this.#opening, type: 'terminate', condition }, inside)
    this.#inbox.end()
    this.#answerAll()
    this.#listen()
    await Promise.resolve()
  }

  /** Whoever reads next is told that the gateway goes. */
  interrupt(): void {
    this.#inbox.end(new MyceliumError('shutting-down'))
  }

  destroy(): void {
    this.#goAway()
  }
}

/** XEP-0206 §6. */
function conditionOf({ condition }: StreamError): BindingCondition {
  if (condition === 'host-unknown' || condition === 'policy-violation' || condition === 'system-shutdown')
    return condition
  return 'remote-stream-error'
}

/** XEP-0124 §7: the highest that both know. */
function commonVersion(theirs = ''): string {
  const minor = /^1\.(\d{1,3})$/.exec(theirs)?.[1]
  return minor === undefined ? '1.11' : `1.${Math.min(11, Number(minor))}`
}

/** What stands for the header of a stream. */
const openEvent = ({ attrs: { to, from, 'xml:lang': lang } }: RequestBody): StreamEvent => ({
  kind: 'open',
  header: el('body', { to, from, 'xml:lang': lang, version: '1.0' }),
})

/** Mail that the gateway itself writes: trace fields, non-delivery reports (RFC 3464), the wrapper around mail with a false From, notices. */
import { concat, fromLatin1, fromUtf8, toHex } from '../bytes.ts'
import type { Address } from '../ids.ts'
import { domainOf } from '../message/address.ts'
import type { ReversePath } from '../message/part.ts'

export interface ComposeContext {
  readonly nowMs: number
  /** 16 random bytes: boundary and Message-ID. */
  readonly token: Uint8Array
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const two = (value: number): string => String(value).padStart(2, '0')

let lastDate: { readonly second: number; readonly text: string } | undefined

/** RFC 5322 §3.3 in UTC. */
export function mailDate(ms: number): string {
  const second = Math.floor(ms / 1000)
  if (lastDate?.second !== second) lastDate = { second, text: dateText(ms) }
  return lastDate.text
}

function dateText(ms: number): string {
  const at = new Date(ms)
  const day = `${days[at.getUTCDay()]}, ${at.getUTCDate()} ${months[at.getUTCMonth()]} ${at.getUTCFullYear()}`
  return `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} +0000`
}

/** Names of the fields that only the gateway writes; in sent bytes they count as a false From. */
export const traceFields: ReadonlySet<string> = new Set(['return-path', 'authentication-results', 'mycelium-trust'])

/**
 * One block before the sent bytes: who handed it over and how well that is known, as it was at delivery (RFC 5321
 * §4.4, RFC 8601 §2.2).
 */
export function traceBlock({
  from,
  header,
  tier,
  nowMs,
}: {
  /** Under which the mail was handed over. */
  readonly from: ReversePath
  /** In its From field. */
  readonly header: Address
  readonly tier: string
  readonly nowMs: number
}): Uint8Array {
  return fromUtf8(
    `Return-Path: <${from}>\r\n` +
      `Authentication-Results: localhost; x-mycelium=pass header.from=${domainOf(header)}\r\n` +
      `Mycelium-Trust: ${tier}; at delivery; ${mailDate(nowMs)}\r\n`,
  )
}

const gatewaySender = 'Mycelium gateway <gateway@localhost>'

function head(context: ComposeContext, to: Address, subject: string, contentType: string): string {
  return (
    `Return-Path: <>\r\nFrom: ${gatewaySender}\r\nTo: <${to}>\r\nSubject: ${subject}\r\nDate: ${mailDate(context.nowMs)}\r\n` +
    `Message-ID: <${toHex(context.token)}@localhost>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n` +
    `Content-Type: ${contentType}\r\n`
  )
}

const boundaryOf = (context: ComposeContext): string => `=_myc_${toHex(context.token)}`
const textPart = (boundary: string, text: string): string =>
  `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${text}\r\n`

/** A text from the gateway to its user. */
export function notice(context: ComposeContext, to: Address, subject: string, text: string): Uint8Array {
  return fromUtf8(
    `${head(context, to, subject, 'text/plain; charset=utf-8')}Content-Transfer-Encoding: 8bit\r\n\r\n${text}\r\n`,
  )
}

/**
 * Mail whose From is not the sender's is kept whole inside a warning, so that no client can show it as what it claims
 * to be: these bytes go before and after the original.
 */
export function falseFromWrapper(
  context: ComposeContext,
  to: Address,
  sender: string,
): { readonly before: Uint8Array; readonly after: Uint8Array } {
  const boundary = boundaryOf(context)
  const text =
    `This message came from ${sender}, but its From line names somebody else or cannot be read.\r\n` +
    'It is attached as it arrived. Do not trust the name that it shows.'
  const before =
    `${head(context, to, 'Warning: a message with a false sender', `multipart/mixed; boundary="${boundary}"`)}\r\n` +
    `${textPart(boundary, text)}--${boundary}\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n`
  return { before: fromUtf8(before), after: fromUtf8(`\r\n--${boundary}--\r\n`) }
}

export type DsnAction = 'failed' | 'delayed' | 'delivered'

export interface DsnRecipient {
  readonly address: Address
  readonly originalRecipient: string | undefined
  readonly action: DsnAction
  /** RFC 3463, e.g. 4.4.7. */
  readonly status: string
  readonly reason: string
  /** Of a delayed one, Unix milliseconds. */
  readonly retriedUntilMs?: number
}

/** What a report returns of the mail; `bytes` are absent where the caller puts them between the two halves itself. */
export interface ReturnedMail {
  readonly kind: 'full' | 'headers'
  readonly head: Uint8Array
  readonly bytes: Uint8Array | undefined
}

export interface DsnInput {
  readonly to: Address
  readonly arrivedAtMs: number
  readonly envelopeId: string | undefined
  readonly recipient: DsnRecipient
  readonly original: ReturnedMail
}

const subjects: Record<DsnAction, string> = {
  failed: 'Not delivered',
  delayed: 'Delayed: still trying to deliver',
  delivered: 'Delivered',
}

/** RFC 3464, and RFC 6533 for what is not ASCII. */
const returnedTypes = {
  full: ['message/rfc822', 'message/global'],
  headers: ['text/rfc822-headers', 'message/global-headers'],
} as const
const isAscii = (bytes: Uint8Array): boolean => bytes.every((byte) => byte < 0x80)

/** A delivery status notification (RFC 3464 §2): words, fields for programs, and what it is about. */
export function deliveryStatus(
  context: ComposeContext,
  input: DsnInput,
): { readonly before: Uint8Array; readonly after: Uint8Array; readonly bytes: Uint8Array } {
  const boundary = boundaryOf(context)
  const { recipient, original } = input
  const isPlain = isAscii(fromUtf8(recipient.address))
  const type = `multipart/report; report-type=${isPlain ? '' : 'global-'}delivery-status; boundary="${boundary}"`
  const returnedType = returnedTypes[original.kind][isAscii(original.head) ? 0 : 1]
  const before = concat(
    fromUtf8(`${head(context, input.to, subjects[recipient.action], type)}\r\n`),
    fromUtf8(textPart(boundary, `${recipient.address}:\r\n\r\n${recipient.reason}`)),
    fromUtf8(`--${boundary}\r\nContent-Type: message/${isPlain ? '' : 'global-'}delivery-status\r\n`),
    fromUtf8(`${isPlain ? '' : 'Content-Transfer-Encoding: 8bit\r\n'}\r\n${statusFields(input)}\r\n`),
    fromUtf8(`--${boundary}\r\nContent-Type: ${returnedType}\r\n\r\n`),
  )
  const after = fromLatin1(`\r\n--${boundary}--\r\n`)
  return { before, after, bytes: concat(before, original.bytes ?? new Uint8Array(), after) }
}

function statusFields({ envelopeId, arrivedAtMs, recipient }: DsnInput): string {
  const { address, originalRecipient, action, status, retriedUntilMs } = recipient
  return (
    'Reporting-MTA: dns; localhost\r\n' +
    (envelopeId === undefined ? '' : `Original-Envelope-Id: ${envelopeId}\r\n`) +
    `Arrival-Date: ${mailDate(arrivedAtMs)}\r\n\r\n` +
    (originalRecipient === undefined ? '' : `Original-Recipient: ${originalRecipient}\r\n`) +
    `Final-Recipient: ${isAscii(fromUtf8(address)) ? 'rfc822' : 'utf-8'}; ${address}\r\n` +
    `Action: ${action}\r\nStatus: ${status}\r\n` +
    (retriedUntilMs === undefined ? '' : `Will-Retry-Until: ${mailDate(retriedUntilMs)}\r\n`)
  )
}

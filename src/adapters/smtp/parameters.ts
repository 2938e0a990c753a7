/** Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (6152, 3030), SMTPUTF8 (6531), AUTH (4954), RET, ENVID, NOTIFY, ORCPT (3461), HOLDFOR, HOLDUNTIL (4865). */
import type { DsnNotify, Submission, SubmissionRecipient } from '../../core/delivery/submission.ts'
import { limits } from '../../core/limits.ts'
import { decodeXtext, type Parameter } from './command.ts'
import { replies, type Reply } from './reply.ts'

export interface MailParameters {
  readonly smtpUtf8: boolean
  /** BODY=BINARYMIME: any octet may follow, and only BDAT can carry it. */
  readonly isBinary: boolean
  readonly returned?: NonNullable<Submission['returned']>
  readonly envelopeId?: string
  /** Unix milliseconds; may have passed. */
  readonly holdUntilMs?: number
}
export type RcptParameters = Omit<SubmissionRecipient, 'address'>

export type Parameters<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly reply: Reply }

const bad = { kind: 'refused', reply: replies.badParameter } as const
const unknown = { kind: 'refused', reply: replies.unknownParameter } as const

/** `size` is 0 when the client did not say. */
export function readMailParameters(
  parameters: readonly Parameter[],
  nowMs: number,
): Parameters<MailParameters & { readonly size: number }> {
  let read: MailParameters & { readonly size: number } = { smtpUtf8: false, isBinary: false, size: 0 }
  for (const { name, value } of parameters) {
    switch (name) {
      case 'SIZE':
        if (value === undefined || !/^\d{1,20}$/.test(value)) return bad
        read = { ...read, size: Number(value) }
        break
      case 'BODY':
        if (!/^(?:7BIT|8BITMIME|BINARYMIME)$/i.test(value ?? '')) return bad
        read = { ...read, isBinary: value?.toUpperCase() === 'BINARYMIME' }
        break
      case 'SMTPUTF8':
        if (value !== undefined) return bad
        read = { ...read, smtpUtf8: true }
        break
      case 'AUTH': // the client vouches for somebody else (RFC 4954 §5): noted by nobody here
        if (value === undefined || decodeXtext(value, limits.smtpLineOctetsMax) === undefined) return bad
        break
      case 'RET':
        if (!/^(?:FULL|HDRS)$/i.test(value ?? '')) return bad
        read = { ...read, returned: value?.toUpperCase() === 'FULL' ? 'full' : 'headers' }
        break
      case 'ENVID': {
        const envelopeId = decodeXtext(value ?? '', limits.smtpEnvelopeIdOctetsMax)
        if (envelopeId === undefined || envelopeId === '') return bad
        read = { ...read, envelopeId }
        break
      }
      case 'HOLDFOR':
      case 'HOLDUNTIL': {
        const holdUntilMs = name === 'HOLDFOR' ? nowMs + readSeconds(value) * 1000 : readDateTime(value)
        if (Number.isNaN(holdUntilMs) || read.holdUntilMs !== undefined) return bad
        if (holdUntilMs > nowMs + limits.holdMsMax) return { kind: 'refused', reply: replies.heldTooLong }
        read = { ...read, holdUntilMs }
        break
      }
      case 'REQUIRETLS':
        return { kind: 'refused', reply: replies.requireTls }
      default:
        return unknown
    }
  }
  return { kind: 'ok', value: read }
}

/** NaN for what is no number of seconds. */
const readSeconds = (value: string | undefined): number => (/^\d{1,9}$/.test(value ?? '') ? Number(value) : Number.NaN)

/** RFC 3339 §5.6 date-time (RFC 4865 with its erratum) in Unix milliseconds; NaN for anything else. */
function readDateTime(value: string | undefined): number {
  const found = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/i.exec(value ?? '')
  if (found === null) return Number.NaN
  const [, date, time, fraction = '', zone] = found
  // a leap second is the last one that there is
  const ms = Date.parse(`${date}T${time!.replace(/:60$/, ':59')}${fraction.slice(0, 4)}${zone!.toUpperCase()}`)
  const midnightMs = Date.parse(`${date}T00:00:00Z`)
  // what is on no calendar, 31 June, would be read as another day
  const isOnCalendar = !Number.isNaN(midnightMs) && new Date(midnightMs).toISOString().startsWith(date!)
  return isOnCalendar ? ms : Number.NaN
}

export function readRcptParameters(parameters: readonly Parameter[]): Parameters<RcptParameters> {
  let read: RcptParameters = {}
  for (const { name, value } of parameters) {
    switch (name) {
      case 'NOTIFY': {
        const notify = readNotify(value ?? '')
        if (notify === undefined) return bad
        read = { ...read, notify }
        break
      }
      case 'ORCPT': {
        const originalRecipient = readOriginalRecipient(value ?? '')
        if (originalRecipient === undefined) return bad
        read = { ...read, originalRecipient }
        break
      }
      default:
        return unknown
    }
  }
  return { kind: 'ok', value: read }
}

const notifyWords: readonly DsnNotify[] = ['never', 'success', 'failure', 'delay']

/** `NEVER`, or any of the others once each. */
function readNotify(value: string): readonly DsnNotify[] | undefined {
  const words = value.toLowerCase().split(',')
  const notify = notifyWords.filter((word) => words.includes(word))
  return notify.length !== words.length || (notify.includes('never') && notify.length > 1) ? undefined : notify
}

/** `rfc822;xtext`; with `utf-8` (RFC 6533 §3) the address stays in its own escaped form, which is ASCII. */
function readOriginalRecipient(value: string): string | undefined {
  const semicolon = value.indexOf(';')
  const type = value.slice(0, Math.max(0, semicolon))
  const address = decodeXtext(value.slice(semicolon + 1), limits.smtpOriginalRecipientOctetsMax)
  return /^[A-Za-z\d-]{1,32}$/.test(type) && address !== undefined && address !== '' ? `${type};${address}` : undefined
}

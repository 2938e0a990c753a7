/** Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (6152, 3030), SMTPUTF8 (6531), AUTH (4954), RET, ENVID, NOTIFY, ORCPT (3461). */
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
      case 'REQUIRETLS':
        return { kind: 'refused', reply: replies.requireTls }
      default:
        return unknown
    }
  }
  return { kind: 'ok', value: read }
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

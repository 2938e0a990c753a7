/**
 * Where a program stands: `s<number>` in the stream, and with it how far it has heard of what is kept nowhere, which ends
 * with this run of the gateway. A program may come back with any token that it ever got.
 */
import { MatrixError } from '../http/matrix-error.ts'

export interface Token {
  readonly number: number
  /** Of what is true for a moment; 0 when that was heard in another run. */
  readonly moment: number
  /** Up to where it has messages to its device: less than `number` while more wait than one answer holds. */
  readonly toDevice: number
}

export const writeToken = ({ number, moment, toDevice }: Token, run: string): string =>
  `s${number}_${run}_${moment}${toDevice < number ? `_d${toDevice}` : ''}`

const form = /^(?:s(\d{1,15})(?:_([\w-]{1,16})_(\d{1,15})(?:_d(\d{1,15}))?)?|t(\d{1,15})(?:_\d{1,15})?)$/

/** @throws MatrixError `M_INVALID_PARAM` */
export function readToken(text: string, run: string): Token {
  const found = form.exec(text)
  if (found === null) throw new MatrixError('M_INVALID_PARAM', 'This token is none of this server')
  const number = Number(found[1] ?? found[5])
  return {
    number,
    moment: found[2] === run ? Number(found[3]) : 0,
    toDevice: Math.min(number, Number(found[4] ?? number)),
  }
}

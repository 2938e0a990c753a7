/** AUTH (RFC 4954 §4): challenges and responses as base64 lines; `*` cancels. */
import { fromBase64, toBase64, toLatin1 } from '../../core/bytes.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { type SaslMechanism, type SaslOutcome, type SaslServices, startSasl } from '../wire/sasl.ts'
import { replies, type Reply, replyForCode, replyForError } from './reply.ts'

export interface Authentication {
  readonly mechanism: SaslMechanism
  /** From the command line. */
  readonly initial: string | undefined
}

export type Authenticated =
  | Extract<SaslOutcome, { kind: 'success' }>
  | { readonly kind: 'refused'; readonly reply: Reply }

const refused = (reply: Reply): Authenticated => ({ kind: 'refused', reply })

/** @param ask sends a challenge in base64 and reads the line that answers it; `undefined` when there will be none */
export async function authenticate(
  { mechanism, initial }: Authentication,
  services: SaslServices,
  ask: (challenge: string) => Promise<Uint8Array | undefined>,
): Promise<Authenticated> {
  const exchange = startSasl(mechanism, services)
  try {
    let next = await exchange.next()
    let given = initial === '=' ? '' : initial
    while (next.done !== true) {
      if (given === undefined) {
        const line = await ask(toBase64(next.value))
        if (line === undefined) return refused(replyForCode('connection-closed'))
        given = toLatin1(line)
      }
      if (given === '*') return refused(replies.cancelled)
      const response = fromBase64(given)
      if (response === undefined || given.length > limits.saslResponseOctetsMax) return refused(replies.badResponse)
      next = await exchange.next(response)
      given = undefined
    }
    if (next.value.kind === 'success') return next.value
    return refused(next.value.kind === 'malformed' ? replies.badResponse : replyForCode('wrong-credentials'))
  } catch (error) {
    if (error instanceof MyceliumError) return refused(replyForError(error))
    throw error
  }
}

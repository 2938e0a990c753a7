/** AUTHENTICATE (RFC 9051 §6.2.2, RFC 4959). */
import { fromBase64, toBase64, toLatin1 } from '../../../core/bytes.ts'
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { parseSaslMechanism, type SaslExchange, type SaslOutcome, startSasl } from '../../wire/sasl.ts'
import type { Command } from '../command.ts'
import { bad, no } from '../responses.ts'
import type { Session } from '../session.ts'
import { notPrivate, welcome } from '../welcome.ts'

export const authenticate: Command = {
  when: 'guest',
  async run(session, args) {
    args.sp()
    const mechanism = parseSaslMechanism(args.name())
    let initial: Uint8Array | undefined
    if (args.isNext(' ')) {
      args.sp()
      // RFC 4959 §3: `=` is an empty initial response.
      const text = toLatin1(args.skip('=') ? new Uint8Array() : args.astringOctets())
      initial = fromBase64(text)
      if (initial === undefined) return bad('Not base64')
    }
    args.end()
    if (mechanism === undefined) return no('No such mechanism', 'CANNOT')
    if (!session.channel.isPrivate) return notPrivate
    const { logins } = session.context.services
    const { random } = session.context.ambient
    const exchange = startSasl(mechanism, { logins, random, source: session.channel.remote })
    const outcome = await converse(session, exchange, initial)
    if (outcome === undefined) return bad('Cancelled')
    if (outcome.kind === 'malformed') return bad('Not what the mechanism expects')
    return welcome(session, outcome.kind === 'success' ? outcome.login : undefined)
  },
}

/** `undefined` when the client cancels. */
async function converse(
  session: Session,
  exchange: SaslExchange,
  initial: Uint8Array | undefined,
): Promise<SaslOutcome | undefined> {
  let step = await exchange.next()
  if (initial !== undefined && step.done !== true) step = await exchange.next(initial)
  while (step.done !== true) {
    session.out.line(`+ ${toBase64(step.value)}`)
    session.out.push()
    const line = await session.channel.reader.line({
      octetsMax: limits.saslResponseOctetsMax + 2,
      waitMsMax: limits.imapLoginMs,
    })
    if (line === undefined) throw new MyceliumError('connection-closed')
    const text = toLatin1(line)
    const response = text === '*' ? undefined : fromBase64(text)
    if (text === '*') return undefined
    if (response === undefined) return { kind: 'malformed' }
    step = await exchange.next(response)
  }
  return step.value
}

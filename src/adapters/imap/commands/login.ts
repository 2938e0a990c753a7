/** STARTTLS, LOGIN and AUTHENTICATE: how a connection comes to belong to an account. */
import type { Login } from '../../../core/account/logins.ts'
import { fromBase64, toBase64, toLatin1 } from '../../../core/bytes.ts'
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { parseSaslMechanism, type SaslExchange, type SaslOutcome, startSasl } from '../../wire/sasl.ts'
import { capabilities } from '../capabilities.ts'
import type { Command } from '../command.ts'
import { bad, no, ok, type Tagged } from '../responses.ts'
import type { Session } from '../session.ts'

const refused = no('Wrong user name or password', 'AUTHENTICATIONFAILED')
const notPrivate = no('Passwords travel only inside TLS: use STARTTLS first', 'PRIVACYREQUIRED')

function welcome(session: Session, login: Login | undefined): Tagged {
  if (login === undefined) return refused
  session.logIn(login)
  return ok('Logged in', `CAPABILITY ${capabilities(session)}`)
}

export const login: Command = {
  when: 'guest',
  async run(session, args) {
    args.sp()
    const user = args.astring()
    args.sp()
    const password = args.astring()
    args.end()
    if (!session.channel.isPrivate) return notPrivate
    const { logins } = session.context.services
    return welcome(session, await logins.byPassword(user, password, session.channel.remote))
  },
}

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

export const starttls: Command = {
  when: 'guest',
  run(session, args) {
    args.end()
    return session.channel.canStartTls ? ok('Begin TLS now') : bad('TLS is not available here')
  },
}

/** After the OK of STARTTLS has been queued. Nothing said before counts. @throws `malformed`, `connection-closed` */
export async function beginTls(session: Session): Promise<void> {
  session.out.push()
  await session.channel.startTls()
}

/** The rules of one submission session (RFC 5321 §4.1.4, RFC 6409) as a pure step from state and command to state, reply and what to do next. */
import type { Login } from '../../core/account/logins.ts'
import type { RecipientVerdict, SubmissionRecipient } from '../../core/delivery/submission.ts'
import { unreachable } from '../../core/errors.ts'
import type { Address, Identity } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { parseAddress } from '../../core/message/address.ts'
import type { ReversePath } from '../../core/message/part.ts'
import { parseSaslMechanism, type SaslMechanism, saslMechanisms } from '../wire/sasl.ts'
import type { Chunk, Command, Path } from './command.ts'
import { type MailParameters, readMailParameters, readRcptParameters } from './parameters.ts'
import { badArguments, replies, type Reply, replyForCode } from './reply.ts'

export interface Transaction extends MailParameters {
  readonly from: ReversePath
  readonly recipients: readonly SubmissionRecipient[]
  /** A first BDAT was taken: nothing but chunks until the last one or RSET (RFC 3030 §2). */
  readonly hasChunks: boolean
}

export interface Session {
  readonly greeted: 'HELO' | 'EHLO' | undefined
  readonly login: Login | undefined
  readonly transaction: Transaction | undefined
}
export const newSession: Session = { greeted: undefined, login: undefined, transaction: undefined }

/** What the step may ask about the world; all of it answers at once and changes nothing. */
export interface Rules {
  readonly hostname: string
  readonly messageBytesMax: number
  readonly nowMs: number
  readonly isSecure: boolean
  /** Passwords may travel here: TLS or loopback. */
  readonly isPrivate: boolean
  readonly canStartTls: boolean
  mayUse(account: Identity, address: Address): boolean
  recipient(account: Identity, address: Address): RecipientVerdict
}

export type Next =
  | { readonly do: 'read' }
  | { readonly do: 'data'; readonly login: Login; readonly transaction: Transaction }
  | { readonly do: 'chunk'; readonly login: Login; readonly transaction: Transaction; readonly chunk: Chunk }
  /** Octets that follow whatever is said of them; the answer comes behind them. */
  | { readonly do: 'discard'; readonly octets: number; readonly reply: Reply }
  | { readonly do: 'auth'; readonly mechanism: SaslMechanism; readonly initial: string | undefined }
  | { readonly do: 'start-tls' }
  | { readonly do: 'quit' }

export interface Stepped {
  readonly session: Session
  /** Absent for `auth`, `chunk` and `discard`, which speak for themselves. */
  readonly reply: Reply | undefined
  readonly next: Next
}

/** A MAIL or RCPT command. */
type Addressed = Extract<Command, { verb: 'MAIL' | 'RCPT' }>

const read: Next = { do: 'read' }

export function step(session: Session, command: Command, rules: Rules): Stepped {
  const answer = (reply: Reply, changed: Session = session): Stepped => ({ session: changed, reply, next: read })
  switch (command.verb) {
    case 'EHLO':
    case 'HELO': {
      const greeted = { ...session, greeted: command.verb, transaction: undefined }
      return answer(command.verb === 'EHLO' ? extensions(session, rules) : { code: 250, text: rules.hostname }, greeted)
    }
    case 'STARTTLS':
      if (rules.isSecure) return answer(replies.alreadySecure)
      if (!rules.canStartTls) return answer(replies.notImplemented)
      return { session: newSession, reply: replies.startTls, next: { do: 'start-tls' } }
    case 'AUTH':
      return stepAuth(session, command, rules)
    case 'MAIL':
      return stepMail(session, command, rules)
    case 'RCPT':
      return stepRcpt(session, command, rules)
    case 'DATA': {
      const ready = readyForMessage(session, rules)
      if (ready.kind === 'refused') return answer(ready.reply)
      if (ready.transaction.hasChunks) return answer(replies.chunksHaveBegun)
      if (ready.transaction.isBinary) return answer(replies.binaryNeedsChunks)
      const { login, transaction } = ready
      return {
        session: { ...session, transaction: undefined },
        reply: replies.sendData,
        next: { do: 'data', login, transaction },
      }
    }
    case 'BDAT':
      return stepChunk(session, command.chunk, rules)
    case 'bad-chunk':
      return { session, reply: replies.badChunk, next: { do: 'quit' } }
    case 'RSET':
      return answer(replies.ok, { ...session, transaction: undefined })
    case 'NOOP':
      return answer(replies.ok)
    case 'QUIT':
      return { session, reply: replies.bye, next: { do: 'quit' } }
    case 'VRFY':
      return answer(replies.cannotVerify)
    case 'HELP':
      return answer(replies.help)
    case 'EXPN':
    case 'not-implemented':
      return answer(replies.notImplemented)
    case 'unknown':
      return answer(replies.unknownCommand)
    case 'bad-arguments':
      return answer(badArguments(command.of))
    default:
      return unreachable(command)
  }
}

function extensions(session: Session, rules: Rules): Reply {
  const mayLogIn = rules.isPrivate && session.login === undefined
  return {
    code: 250,
    text: [
      rules.hostname,
      'PIPELINING',
      `SIZE ${rules.messageBytesMax}`,
      '8BITMIME',
      'BINARYMIME',
      'CHUNKING',
      'SMTPUTF8',
      'ENHANCEDSTATUSCODES',
      'DSN',
      ...(rules.canStartTls ? ['STARTTLS'] : []),
      ...(mayLogIn ? [`AUTH ${saslMechanisms.join(' ')}`] : []),
      `FUTURERELEASE ${limits.holdMsMax / 1000} ${new Date(rules.nowMs + limits.holdMsMax).toISOString().replace(/\.\d+/, '')}`,
      `LIMITS RCPTMAX=${limits.mailRecipientsMax}`,
      'HELP',
    ],
  }
}

function loginMissing(session: Session, rules: Rules): Reply | undefined {
  if (session.greeted === undefined) return replies.helloFirst
  if (session.login !== undefined) return undefined
  return rules.isPrivate ? replies.loginFirst : replies.startTlsFirst
}

type Ready =
  | { readonly kind: 'ok'; readonly login: Login; readonly transaction: Transaction }
  | { readonly kind: 'refused'; readonly reply: Reply }

function readyForMessage(session: Session, rules: Rules): Ready {
  const missing = loginMissing(session, rules)
  if (missing !== undefined) return { kind: 'refused', reply: missing }
  const { login, transaction } = session
  if (login === undefined || transaction === undefined) return { kind: 'refused', reply: replies.badSequence }
  if (transaction.recipients.length === 0) return { kind: 'refused', reply: replies.noRecipients }
  return { kind: 'ok', login, transaction }
}

/** RFC 3030 §2: the octets come whether they are wanted or not, so a refusal has to read past them first. */
function stepChunk(session: Session, chunk: Chunk, rules: Rules): Stepped {
  const ready = readyForMessage(session, rules)
  if (ready.kind === 'refused') {
    return { session, reply: undefined, next: { do: 'discard', octets: chunk.octets, reply: ready.reply } }
  }
  const { login, transaction } = ready
  const after = chunk.isLast ? undefined : { ...transaction, hasChunks: true }
  return {
    session: { ...session, transaction: after },
    reply: undefined,
    next: { do: 'chunk', login, transaction, chunk },
  }
}

function stepAuth(session: Session, command: Extract<Command, { verb: 'AUTH' }>, rules: Rules): Stepped {
  const refuse = (reply: Reply): Stepped => ({ session, reply, next: read })
  if (session.greeted !== 'EHLO') return refuse(replies.helloFirst)
  if (!rules.isPrivate) return refuse(replies.encryptionRequired)
  if (session.login !== undefined) return refuse(replies.alreadyLoggedIn)
  const mechanism = parseSaslMechanism(command.mechanism)
  if (mechanism === undefined) return refuse(replies.unknownMechanism)
  return { session, reply: undefined, next: { do: 'auth', mechanism, initial: command.initial } }
}

function stepMail(session: Session, command: Addressed, rules: Rules): Stepped {
  const answer = (reply: Reply, changed: Session = session): Stepped => ({ session: changed, reply, next: read })
  const missing = loginMissing(session, rules)
  if (missing !== undefined) return answer(missing)
  if (session.login === undefined || session.transaction !== undefined) return answer(replies.badSequence)
  const parameters = readMailParameters(command.parameters, rules.nowMs)
  if (parameters.kind === 'refused') return answer(parameters.reply)
  const { size, ...kept } = parameters.value
  if (size > rules.messageBytesMax) return answer(replyForCode('message-too-large'))
  const from = senderOf(command.path, kept.smtpUtf8, (address) => rules.mayUse(session.login!.account, address))
  if (typeof from !== 'string') return answer(from)
  return answer(replies.senderOk, { ...session, transaction: { ...kept, from, recipients: [], hasChunks: false } })
}

/** Nobody (RFC 8098 §3: how mail programs send read receipts) or an own address; whose mail it is says the login. */
function senderOf(path: Path, smtpUtf8: boolean, mayUse: (address: Address) => boolean): ReversePath | Reply {
  if (path.kind === 'null') return ''
  const from = addressOf(path, smtpUtf8)
  if (from === 'needs-smtputf8') return replies.needsSmtpUtf8
  if (from === undefined) return replies.badSenderAddress
  return mayUse(from) ? from : replyForCode('not-your-address')
}

function stepRcpt(session: Session, command: Addressed, rules: Rules): Stepped {
  const answer = (reply: Reply, changed: Session = session): Stepped => ({ session: changed, reply, next: read })
  const missing = loginMissing(session, rules)
  if (missing !== undefined) return answer(missing)
  const { login, transaction } = session
  if (login === undefined || transaction === undefined) return answer(replies.badSequence)
  if (transaction.hasChunks) return answer(replies.chunksHaveBegun)
  const parameters = readRcptParameters(command.parameters)
  if (parameters.kind === 'refused') return answer(parameters.reply)
  if (command.path.kind === 'null') return answer(replies.badRecipientAddress)
  const address = addressOf(command.path, transaction.smtpUtf8)
  if (address === 'needs-smtputf8') return answer(replies.needsSmtpUtf8)
  if (address === undefined) return answer(replies.badRecipientAddress)
  if (transaction.recipients.some((other) => other.address === address)) return answer(replies.recipientOk)
  if (transaction.recipients.length >= limits.mailRecipientsMax) return answer(replies.tooManyRecipients)
  const verdict = rules.recipient(login.account, address)
  if (verdict.kind === 'refused') return answer(replyForCode(verdict.code))
  const recipients = [...transaction.recipients, { address, ...parameters.value }]
  return answer(replies.recipientOk, { ...session, transaction: { ...transaction, recipients } })
}

/** RFC 6531 §3.2: other than ASCII only with SMTPUTF8. */
function addressOf(
  path: Extract<Path, { kind: 'mailbox' }>,
  smtpUtf8: boolean,
): Address | 'needs-smtputf8' | undefined {
  const isAscii = /^[ -~]*$/.test(path.text)
  return isAscii || smtpUtf8 ? parseAddress(path.text) : 'needs-smtputf8'
}

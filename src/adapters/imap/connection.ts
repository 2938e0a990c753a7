/** One client: reads a command, runs it, tells what changed meanwhile, ends it with its tag; until either side leaves. */
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Channel } from '../wire/channel.ts'
import { isTlsRecord } from '../wire/foreign.ts'
import { BadSyntax } from './arguments.ts'
import { capabilities } from './capabilities.ts'
import type { Command } from './command.ts'
import { commandNamed } from './commands.ts'
import { append } from './commands/append.ts'
import { beginCompression } from './commands/compress.ts'
import { replace } from './commands/replace.ts'
import { beginTls } from './commands/starttls.ts'
import type { Incoming } from './decoder.ts'
import { answerFor, bad, formatTagged, internalError, Refusal, type Tagged, uidRequired } from './responses.ts'
import type { ServerContext } from './services.ts'
import { Session } from './session.ts'

/** Resolves when the connection is done. @throws what ends it early, for the listener to log */
export async function serveImap(channel: Channel, context: ServerContext): Promise<void> {
  const ended = new AbortController()
  const session = new Session(channel, context, ended.signal)
  // Every wait has its own limit; this one is for whoever keeps within each of them and never logs in.
  const guest = setInterval(() => {
    const isOverdue = performance.now() - session.guestSinceMs >= limits.imapLoginMs
    if (session.login === undefined && isOverdue) channel.destroy()
  }, limits.imapLoginMs + limits.lingerMs)
  try {
    session.out.line(`* OK [CAPABILITY ${capabilities(session)}] Mycelium gateway ready`)
    session.out.push()
    const first = await channel.reader.peek({ waitMsMax: limits.imapLoginMs })
    if (first === undefined || isTlsRecord(first)) return
    await converse(session)
    await channel.end()
  } catch (error) {
    await sayGoodbye(session, error)
  } finally {
    clearInterval(guest)
    ended.abort()
    session.close()
  }
}

/** The last word where there is one; other failures are the listener's. */
async function sayGoodbye(session: Session, error: unknown): Promise<void> {
  const code = error instanceof MyceliumError ? error.code : undefined
  if (code === 'timeout') session.out.line('* BYE [UNAVAILABLE] Idle for too long')
  else if (code === 'shutting-down') session.out.line('* BYE [UNAVAILABLE] The gateway is stopping')
  else if (code === 'too-large' || code === 'line-too-long') session.out.line('* BYE [LIMIT] Too much')
  else throw error
  session.out.push()
  await session.channel.end()
}

async function converse(session: Session): Promise<void> {
  let mistakes = 0
  while (!session.isLoggingOut) {
    const { bounds } = session
    const guestLeftMs = session.guestSinceMs + limits.imapLoginMs - performance.now()
    const idleMs = session.login === undefined ? Math.max(1, guestLeftMs) : bounds.idleMs
    if (session.notify !== undefined) session.pusher.release()
    const incoming = await session.decoder.next({ ...bounds, idleMs })
    await session.pusher.hold()
    if (incoming.kind === 'end' || incoming.kind === 'foreign') return
    const answer = await answerTo(session, incoming)
    await finish(session, incoming, answer)
    const turn = session.context.turns.giveWay()
    if (turn !== undefined) await turn
    mistakes = answer.status === 'BAD' ? mistakes + 1 : 0
    if (mistakes > limits.imapBadCommandsMax) {
      session.out.line('* BYE Too many mistakes')
      session.out.push()
      return
    }
  }
}

type Request = Exclude<Incoming, { readonly kind: 'end' | 'foreign' }>

async function answerTo(session: Session, incoming: Request): Promise<Tagged> {
  session.tag = incoming.tag
  try {
    if (incoming.kind === 'bad') return bad(incoming.text, incoming.code)
    if (incoming.kind === 'append') {
      const { name, args, message } = incoming
      if (session.login === undefined) {
        if (message !== undefined) await session.decoder.refuseMessage(message, session.bounds)
        return bad('Log in first')
      }
      const refused = refuseNumbers(session, name)
      if (refused !== undefined) {
        if (message !== undefined) await session.decoder.refuseMessage(message, session.bounds)
        return refused
      }
      if (name === 'APPEND') return await append(session, args, message)
      return await replace(session, args, message, name === 'REPLACE' ? 'seq' : 'uid')
    }
    const command = commandNamed(incoming.name)
    if (command === undefined) return bad('Unknown command')
    const refused = refuseInState(session, command) ?? refuseNumbers(session, incoming.name)
    if (refused !== undefined) return refused
    const answer = await command.run(session, incoming.args)
    if (!session.isLoggingOut) session.writeUpdates(command.holdsExpunge !== true)
    await session.contexts.refresh()
    await session.notify?.write()
    return answer
  } catch (error) {
    return answerToError(session, error)
  }
}

/** Commands that name messages by sequence number, or answer with them. */
const numberCommands: ReadonlySet<string> = new Set('FETCH STORE COPY MOVE SEARCH SORT THREAD REPLACE'.split(' '))

const refuseNumbers = (session: Session, name: string): Tagged | undefined =>
  session.isUidOnly && numberCommands.has(name) ? uidRequired : undefined

function refuseInState(session: Session, { when }: Command): Tagged | undefined {
  if (when === 'guest' && session.login !== undefined) return bad('Logged in already')
  if ((when === 'user' || when === 'selected') && session.login === undefined) return bad('Log in first')
  return when === 'selected' && session.view === undefined ? bad('Select a mailbox first') : undefined
}

/** @throws what ends the connection */
function answerToError(session: Session, error: unknown): Tagged {
  if (error instanceof BadSyntax) return bad(error.message)
  if (error instanceof Refusal) return error.answer
  if (error instanceof MyceliumError) {
    const { code } = error
    if (code === 'timeout' || code === 'connection-closed' || code === 'shutting-down') throw error
    if (code === 'too-large' || code === 'line-too-long') throw error
    return answerFor(error)
  }
  session.context.ambient.log.error('imap.failed', { error: error instanceof Error ? error.name : typeof error })
  return internalError
}

async function finish(session: Session, incoming: Request, answer: Tagged): Promise<void> {
  if (incoming.kind === 'append') {
    session.writeUpdates(true)
    await session.contexts.refresh()
  }
  session.out.line(formatTagged(incoming.tag, answer))
  session.out.push()
  if (session.channel.isCongested) await session.out.ready()
  if (incoming.kind !== 'command' || answer.status !== 'OK') return
  if (incoming.name === 'STARTTLS') await beginTls(session)
  if (incoming.name === 'COMPRESS') await beginCompression(session)
}

export const busyGreeting = '* BYE [UNAVAILABLE] Too many connections\r\n'

/**
 * Ad-hoc commands (XEP-0050) for whoever has an account here, whatever program or server they use: which there are, and
 * the conversations about them that are under way.
 */
import { toBase64Url } from '../../../../core/bytes.ts'
import type { Ambient } from '../../../../core/ambient.ts'
import { operationParams } from '../../../../core/control.ts'
import { MyceliumError } from '../../../../core/errors.ts'
import type { Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import { asStanzaError } from '../../core-errors.ts'
import { readForm, writeForm } from '../../data-form.ts'
import { type Element, el } from '../../element.ts'
import { StanzaError } from '../../stanza-error.ts'
import { Waiting } from '../../waiting.ts'
import { commandList } from './list.ts'
import type { Act, CommandOperations, Step } from './step.ts'

export const commandsNs = 'http://jabber.org/protocol/commands'

/** Somebody who may give commands. */
export interface Commander {
  readonly account: Identity
  /** Full JID: a conversation goes on where it began. */
  readonly jid: string
}

interface Session extends Commander {
  readonly node: string
  readonly step: Extract<Step, { readonly kind: 'form' }>
}

interface DeskServices {
  readonly operations: () => CommandOperations
}

export class CommandDesk implements Disposable {
  readonly #services: DeskServices
  readonly #ambient: Ambient
  readonly #sessions = new Waiting<Session>({ ms: limits.xmppCommandMs, max: limits.xmppCommandsMax }, () => {})

  constructor(services: DeskServices, ambient: Ambient) {
    this.#services = services
    this.#ambient = ambient
  }

  nameOf = (node: string | undefined): string | undefined => commandList.find((one) => one.node === node)?.name

  /** For disco#items. @param jid where they are given */
  items = (jid: string): readonly Element[] =>
    commandList.map(({ node, name }) => el('item http://jabber.org/protocol/disco#items', { jid, node, name }))

  /** @param command as it came. @throws StanzaError */
  async answer(commander: Commander, command: Element): Promise<Element> {
    const { node = '', action = 'execute', sessionid } = command.attrs
    if (!['execute', 'next', 'complete', 'cancel', 'prev'].includes(action)) throw refused('malformed-action')
    const known = commandList.find((one) => one.node === node)
    if (known === undefined) throw new StanzaError('item-not-found', 'There is no such command.')
    if (sessionid === undefined) {
      if (action !== 'execute') throw refused('bad-action')
      try {
        return this.#show(commander, node, await known.begin(this.#actFor(commander.account)))
      } catch (error) {
        throw asStanzaError(error)
      }
    }
    const session = this.#sessions.take(sessionid)
    if (session?.node !== node || session.jid !== commander.jid || session.account !== commander.account)
      throw refused('bad-sessionid')
    if (action === 'cancel') return answered(node, sessionid, 'canceled')
    if (action === 'prev') {
      this.#sessions.add(sessionid, session)
      throw refused('bad-action')
    }
    return await this.#goOn(session, command, sessionid)
  }

  [Symbol.dispose](): void {
    this.#sessions[Symbol.dispose]()
  }

  /** What cannot be done is said beside the same form, which can be filled in again. */
  async #goOn(session: Session, command: Element, sessionid: string): Promise<Element> {
    const given = readForm(command)
    if (given === undefined) {
      this.#sessions.add(sessionid, session)
      throw refused('bad-payload')
    }
    try {
      return this.#show(session, session.node, await session.step.next(given), sessionid)
    } catch (error) {
      const failure = asStanzaError(error)
      if (!(failure instanceof StanzaError)) throw error
      return this.#show(session, session.node, session.step, sessionid, failure.message)
    }
  }

  #show({ account, jid }: Commander, node: string, step: Step, known?: string, trouble?: string): Element {
    const id = known ?? toBase64Url(this.#ambient.random.bytes(12))
    if (step.kind === 'done')
      return answered(node, id, 'completed', step.result, el(`note ${commandsNs}`, { type: 'info' }, step.note))
    if (!this.#sessions.add(id, { account, jid, node, step })) throw new StanzaError('resource-constraint')
    return answered(
      node,
      id,
      'executing',
      el(`actions ${commandsNs}`, { execute: 'complete' }, el(`complete ${commandsNs}`)),
      writeForm('form', step.form),
      trouble === undefined ? undefined : el(`note ${commandsNs}`, { type: 'error' }, trouble),
    )
  }

  #actFor(account: Identity): Act {
    return async (verb, params, context = {}) => {
      const parsed = operationParams[verb].safeParse({ ...params, account })
      if (!parsed.success) throw new MyceliumError('malformed')
      const run = this.#services.operations()[verb] as (...all: readonly unknown[]) => Promise<never>
      const signal = AbortSignal.timeout(limits.xmppCommandStepMs)
      return await run(parsed.data, { signal, progress: () => {}, ...context })
    }
  }
}

const answered = (
  node: string,
  sessionid: string,
  status: 'executing' | 'completed' | 'canceled',
  ...children: readonly (Element | undefined)[]
): Element => el(`command ${commandsNs}`, { node, sessionid, status }, children)

/** XEP-0050 §4.6. */
const refused = (detail: string): StanzaError => new StanzaError('bad-request', '', el(`${detail} ${commandsNs}`))

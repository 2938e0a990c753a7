/** Registration with the gateway (XEP-0077, XEP-0100 §4.1): a JID at the other server becomes an account's, by an app password. */
import { hasCode } from '../../../core/errors.ts'
import type { Identity } from '../../../core/ids.ts'
import { asStanzaError } from '../core-errors.ts'
import { formNs, readForm, writeForm } from '../data-form.ts'
import { child, childText, type Element, el } from '../element.ts'
import type { XmppServices } from '../services.ts'
import { StanzaError } from '../stanza-error.ts'
import type { ComponentUser, ComponentUsers } from './users.ts'

export const registerNs = 'jabber:iq:register'

const instructions = 'Your account at the Mycelium gateway, and an app password for it, made there with "password add".'

interface RegistrationParts {
  readonly services: Pick<XmppServices, 'logins' | 'accounts'>
  readonly users: ComponentUsers
  readonly onBound: (jid: string) => void
  readonly onUnbound: (user: ComponentUser) => void
}

export class Registration {
  readonly #parts: RegistrationParts

  constructor(parts: RegistrationParts) {
    this.#parts = parts
  }

  form(jid: string): Element {
    const user = this.#parts.users.get(jid)
    const name = user === undefined ? '' : this.#parts.services.accounts.get(user.account).localName
    const fields = [
      { name: 'FORM_TYPE', label: '', type: 'hidden', values: [registerNs] },
      { name: 'username', label: 'Account', type: 'text-single', values: [name], isRequired: true },
      { name: 'password', label: 'App password', type: 'text-private', isRequired: true },
    ] as const
    return el(
      `query ${registerNs}`,
      {},
      user === undefined ? undefined : el(`registered ${registerNs}`),
      el(`instructions ${registerNs}`, {}, instructions),
      el(`username ${registerNs}`, {}, name),
      el(`password ${registerNs}`),
      writeForm('form', { title: 'Mycelium', instructions, fields }),
    )
  }

  /** @param query as it came. @throws StanzaError */
  async set(jid: string, query: Element): Promise<void> {
    if (child(query, 'remove') !== undefined) return await this.#remove(jid)
    const given = child(query, `x ${formNs}`) === undefined ? undefined : readForm(query)
    const username = given?.get('username') ?? childText(query, 'username') ?? ''
    const password = given?.get('password') ?? childText(query, 'password') ?? ''
    if (username === '' || password === '') throw new StanzaError('not-acceptable', instructions)
    const before = this.#parts.users.get(jid)
    if (before?.isRegistered === false)
      throw new StanzaError('not-allowed', 'This address has its account from the configuration of the gateway.')
    const account = await this.#accountOf(username, password, jid)
    try {
      if (before?.account !== account) await this.#parts.users.bind(jid, account)
    } catch (error) {
      throw asStanzaError(error)
    }
    if (before !== undefined && before.account !== account) this.#parts.onUnbound(before)
    this.#parts.onBound(jid)
  }

  async #remove(jid: string): Promise<void> {
    const user = this.#parts.users.get(jid)
    if (user === undefined) throw new StanzaError('registration-required', instructions)
    if (!user.isRegistered)
      throw new StanzaError('not-allowed', 'This address has its account from the configuration of the gateway.')
    await this.#parts.users.unbind(jid)
    this.#parts.onUnbound(user)
  }

  async #accountOf(username: string, password: string, jid: string): Promise<Identity> {
    try {
      const login = await this.#parts.services.logins.byPassword(username, password, `component ${jid}`)
      if (login !== undefined) return login.account
    } catch (error) {
      if (!hasCode(error, 'throttled')) throw error
      throw new StanzaError('resource-constraint', 'Too many wrong passwords: wait a minute.')
    }
    // XEP-0077 §3.1.1, Example 7
    throw new StanzaError('not-acceptable', 'The account or its app password is wrong.')
  }
}

/** One login by SASL, whichever of its two framings in XMPP carries it (RFC 6120 §6, XEP-0388). */
import type { Random } from '../../../core/ambient.ts'
import { fromBase64 } from '../../../core/bytes.ts'
import type { Login, Logins } from '../../../core/account/logins.ts'
import { hasCode } from '../../../core/errors.ts'
import {
  boundSaslMechanisms,
  type BoundSaslMechanism,
  type ChannelBinding,
  type SaslExchange,
  type SaslMechanism,
  startSasl,
} from '../../wire/sasl.ts'
import { type Element, el, textOf } from '../element.ts'
import type { Transport } from '../transport.ts'

/** RFC 6120 §6.5; the other framing uses the same ones. */
export type SaslCondition =
  | 'aborted'
  | 'incorrect-encoding'
  | 'invalid-mechanism'
  | 'malformed-request'
  | 'not-authorized'
  | 'temporary-auth-failure'

export type SaslStep =
  | { readonly kind: 'challenge'; readonly data: Uint8Array }
  | { readonly kind: 'success'; readonly login: Login; readonly last?: Uint8Array | undefined }
  | { readonly kind: 'failure'; readonly condition: SaslCondition }

const unboundMechanisms = ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'] as const satisfies readonly SaslMechanism[]
type Mechanism = BoundSaslMechanism | (typeof unboundMechanisms)[number]

export function bindingOf(transport: Transport): ChannelBinding | undefined {
  const data = transport.channelBinding()
  return data === undefined ? undefined : { type: 'tls-exporter', data }
}

/** What may be used on this connection, best first; nothing where somebody else could listen in. */
export function mechanismsOver(transport: Transport): readonly Mechanism[] {
  if (!transport.isPrivate) return []
  return transport.channelBinding() === undefined ? unboundMechanisms : [...boundSaslMechanisms, ...unboundMechanisms]
}

/** XEP-0440; nothing where the channel cannot be bound. */
export const channelBindings = (transport: Transport): Element | undefined =>
  transport.channelBinding() === undefined
    ? undefined
    : el(
        'sasl-channel-binding urn:xmpp:sasl-cb:0',
        {},
        el('channel-binding urn:xmpp:sasl-cb:0', { type: 'tls-exporter' }),
      )

const nothing = new Uint8Array()
const failed = (condition: SaslCondition): SaslStep => ({ kind: 'failure', condition })

export class Authentication {
  readonly #transport: Transport
  readonly #services: { readonly logins: Logins; readonly random: Random }
  #exchange: SaslExchange | undefined

  constructor(transport: Transport, services: { readonly logins: Logins; readonly random: Random }) {
    this.#transport = transport
    this.#services = services
  }

  /** @param initial as it came: base64, `=` for an empty one, `undefined` or empty for none */
  async begin(name: string | undefined, initial: string | undefined): Promise<SaslStep> {
    const mechanism = mechanismsOver(this.#transport).find((offered) => offered === name)
    if (mechanism === undefined) return failed('invalid-mechanism')
    const response = initial === undefined || initial === '' ? undefined : decoded(initial)
    if (response === null) return failed('incorrect-encoding')
    this.#exchange = startSasl(mechanism, {
      ...this.#services,
      source: this.#transport.remote,
      binding: bindingOf(this.#transport),
      lastWithSuccess: true,
    })
    const first = await this.#step(nothing)
    return response === undefined || first.kind !== 'challenge' ? first : await this.#step(response)
  }

  async answer(text: string): Promise<SaslStep> {
    if (this.#exchange === undefined) return failed('malformed-request')
    const response = decoded(text)
    if (response !== null) return await this.#step(response)
    this.#exchange = undefined
    return failed('incorrect-encoding')
  }

  abort(): SaslStep {
    this.#exchange = undefined
    return failed('aborted')
  }

  async #step(response: Uint8Array): Promise<SaslStep> {
    const exchange = this.#exchange!
    try {
      const next = await exchange.next(response)
      if (next.done !== true) return { kind: 'challenge', data: next.value }
      this.#exchange = undefined
      const outcome = next.value
      if (outcome.kind === 'success') return outcome
      return failed(outcome.kind === 'malformed' ? 'malformed-request' : 'not-authorized')
    } catch (error) {
      this.#exchange = undefined
      if (hasCode(error, 'throttled')) return failed('temporary-auth-failure')
      throw error
    }
  }
}

/** RFC 6120 §6.4.2: `=` stands for an empty one. `null` for what is no base64. */
const decoded = (text: string): Uint8Array | null =>
  text === '=' || text === '' ? nothing : (fromBase64(text) ?? null)

export const saslText = (element: Element): string => textOf(element).trim()

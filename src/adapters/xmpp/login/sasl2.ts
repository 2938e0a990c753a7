/** Login in one round trip (XEP-0388) with what the client wants to happen along with it (XEP-0386, XEP-0198, XEP-0484). */
import type { Identity } from '../../../core/ids.ts'
import type { Login } from '../../../core/account/logins.ts'
import { fromBase64, fromUtf8, toBase64Url, toUtf8 } from '../../../core/bytes.ts'
import { sha256 } from '../../../core/crypto/kdf.ts'
import { hasCode } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { child, childText, type Element, el } from '../element.ts'
import { managementNs } from '../resumption/management.ts'
import type { XmppServices } from '../services.ts'
import type { Transport } from '../transport.ts'
import { bindingOf, mechanismsOver, type SaslStep } from './authentication.ts'
import { type TokenMechanism, tokenMechanisms, type Tokens } from './tokens.ts'

export const sasl2Ns = 'urn:xmpp:sasl:2'
export const bind2Ns = 'urn:xmpp:bind:0'
const fastNs = 'urn:xmpp:fast:0'
export const carbonsNs = 'urn:xmpp:carbons:2'
export const csiNs = 'urn:xmpp:csi:0'

/** What an `authenticate` asks for beside the login. */
export interface Request {
  /** Of the program, the same each time. */
  readonly agent: string | undefined
  readonly bind: Element | undefined
  readonly resume: Element | undefined
  readonly tokenFor: TokenMechanism | undefined
  readonly endsToken: boolean
  /** It logs in by a token. */
  readonly isFast: boolean
}

export function readRequest(authenticate: Element, transport: Transport): Request {
  const agent = child(authenticate, `user-agent ${sasl2Ns}`)?.attrs.id
  const fast = child(authenticate, `fast ${fastNs}`)
  const wanted = child(authenticate, `request-token ${fastNs}`)?.attrs.mechanism
  const isAgent = agent !== undefined && agent !== '' && fromUtf8(agent).length <= limits.xmppUserAgentOctetsMax
  return {
    agent: isAgent ? agent : undefined,
    bind: child(authenticate, `bind ${bind2Ns}`),
    resume: child(authenticate, `resume ${managementNs}`),
    tokenFor: tokenMechanismsOver(transport).find((name) => name === wanted),
    endsToken: fast?.attrs.invalidate === 'true' || fast?.attrs.invalidate === '1',
    isFast: fast !== undefined,
  }
}

export const initialResponse = (authenticate: Element): string | undefined =>
  childText(authenticate, `initial-response ${sasl2Ns}`)?.trim()

function tokenMechanismsOver(transport: Transport): readonly TokenMechanism[] {
  if (!transport.isPrivate) return []
  return bindingOf(transport) === undefined ? ['HT-SHA-256-NONE'] : tokenMechanisms
}

/** Among the features of a stream before login. */
export function authenticationFeature(transport: Transport): Element | undefined {
  const mechanisms = mechanismsOver(transport)
  if (mechanisms.length === 0) return undefined
  const inBind = [carbonsNs, csiNs, managementNs].map((name) => el(`feature ${bind2Ns}`, { var: name }))
  const tokens = tokenMechanismsOver(transport).map((name) => el(`mechanism ${fastNs}`, {}, name))
  return el(
    `authentication ${sasl2Ns}`,
    {},
    ...mechanisms.map((name) => el(`mechanism ${sasl2Ns}`, {}, name)),
    el(
      `inline ${sasl2Ns}`,
      {},
      el(`bind ${bind2Ns}`, {}, el(`inline ${bind2Ns}`, {}, ...inBind)),
      el(`sm ${managementNs}`),
      el(`fast ${fastNs}`, {}, ...tokens),
    ),
  )
}

/** XEP-0386 §4.3: what the client calls itself, then what is the same for this program each time. */
export function resourceFor(bind: Element, agent: string | undefined, random: () => string): string {
  const tag = (childText(bind, `tag ${bind2Ns}`) ?? '').trim().slice(0, 64)
  const own = agent === undefined ? random() : toBase64Url(sha256(fromUtf8(agent)).subarray(0, 9))
  return tag === '' ? own : `${tag}.${own}`
}

export interface TokenLogin {
  readonly step: SaslStep
  /** It is time for a new one. */
  readonly isOld: boolean
}

const failed = (condition: 'not-authorized' | 'temporary-auth-failure' | 'malformed-request'): TokenLogin => ({
  step: { kind: 'failure', condition },
  isOld: false,
})

/** One of the mechanisms of draft-schmaus-kitten-sasl-ht: user name, NUL, and what the token and the channel make. */
export async function byToken(
  authenticate: Element,
  { agent }: Request,
  transport: Transport,
  { tokens, logins, accounts }: Pick<XmppServices, 'logins' | 'accounts'> & { readonly tokens: Tokens },
): Promise<TokenLogin> {
  const mechanism = tokenMechanismsOver(transport).find((name) => name === authenticate.attrs.mechanism)
  const message = fromBase64(initialResponse(authenticate) ?? '')
  const end = message?.indexOf(0) ?? -1
  const user = message === undefined || end < 1 ? undefined : toUtf8(message.subarray(0, end))
  if (mechanism === undefined || message === undefined || user === undefined) return failed('malformed-request')
  if (user.length > limits.saslNameOctetsMax) return failed('malformed-request')
  const binding = mechanism === 'HT-SHA-256-NONE' ? undefined : bindingOf(transport)
  try {
    // a guess is counted as that of a password is
    logins.scram(user, 'sha256', transport.remote)
  } catch (error) {
    if (hasCode(error, 'throttled')) return failed('temporary-auth-failure')
    throw error
  }
  const account: Identity | undefined = accounts.byUser(user)?.identity
  const shown = {
    mechanism,
    proof: message.subarray(end + 1),
    binding: binding?.data ?? new Uint8Array(),
  }
  const found = account === undefined || agent === undefined ? undefined : await tokens.show(account, agent, shown)
  logins.scramEnded(user, transport.remote, found !== undefined)
  if (found === undefined) return failed('not-authorized')
  return { step: { kind: 'success', login: found.login, last: found.answer }, isOld: found.isOld }
}

/** The token that the client gets with its login, where it asked for one or its own is old. */
export async function tokenElement(
  tokens: Tokens,
  login: Login,
  { agent, tokenFor, endsToken, isFast }: Request,
  used: { readonly mechanism: string | undefined; readonly isOld: boolean },
): Promise<Element | undefined> {
  if (agent === undefined) return undefined
  if (endsToken) await tokens.revoke(login.account, agent)
  const again = isFast && used.isOld && !endsToken ? tokenMechanisms.find((name) => name === used.mechanism) : undefined
  const mechanism = tokenFor ?? again
  if (mechanism === undefined) return undefined
  const { token, expiresMs } = await tokens.make(login, agent, mechanism)
  return el(`token ${fastNs}`, { token, expiry: new Date(expiresMs).toISOString() })
}

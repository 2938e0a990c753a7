/**
 * Server sides of PLAIN (RFC 4616), LOGIN, SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677), each written as the
 * dialogue it is: a generator that yields challenges, is given responses and returns the outcome. The -PLUS names are
 * for protocols that have a channel binding to give. How base64, initial responses and `*` look is the protocol's
 * business.
 */
import { createHash } from 'node:crypto'
import type { Random } from '../../core/ambient.ts'
import { concat, equalConstantTime, fromBase64, fromUtf8, toBase64, toUtf8 } from '../../core/bytes.ts'
import type { Login, Logins, ScramChallenge, ScramHash } from '../../core/account/logins.ts'
import { hmac } from '../../core/crypto/kdf.ts'
import { limits } from '../../core/limits.ts'

export const saslMechanisms = ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'LOGIN'] as const
export type SaslMechanism = (typeof saslMechanisms)[number]

export const parseSaslMechanism = (name: string): SaslMechanism | undefined =>
  saslMechanisms.find((known) => known === name.toUpperCase())

/** To be offered only where there is a channel binding. */
export const boundSaslMechanisms = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS'] as const
export type BoundSaslMechanism = (typeof boundSaslMechanisms)[number]

/** What both ends of a TLS connection know and nobody in between can make to be the same on two (RFC 5056). */
export interface ChannelBinding {
  readonly type: 'tls-exporter'
  readonly data: Uint8Array
}

export type SaslOutcome =
  /** `last`: what the server says along with it, where the protocol has a place for that. */
  | { readonly kind: 'success'; readonly login: Login; readonly last?: Uint8Array }
  | { readonly kind: 'wrong-credentials' }
  /** Not a response of this mechanism. */
  | { readonly kind: 'malformed' }

export interface SaslServices {
  readonly logins: Logins
  readonly random: Random
  /** Remote address: what failures are counted against. */
  readonly source: string
  /** Where there is one, a client that has been made to believe otherwise is refused (RFC 5802 §6). */
  readonly binding?: ChannelBinding | undefined
  /** The protocol's word of success carries the mechanism's last one: it is then no challenge of its own. */
  readonly lastWithSuccess?: boolean
}

/**
 * One exchange. `next()` gives the first challenge, `next(response)` each further one and finally the outcome. An
 * initial response answers the first challenge, which is then not sent. To cancel, stop calling.
 * Rejects with `throttled`.
 */
export type SaslExchange = AsyncGenerator<Uint8Array, SaslOutcome, Uint8Array>

export const startSasl = (mechanism: SaslMechanism | BoundSaslMechanism, services: SaslServices): SaslExchange =>
  exchanges[mechanism](services)

const exchanges: Readonly<Record<SaslMechanism | BoundSaslMechanism, (services: SaslServices) => SaslExchange>> = {
  'SCRAM-SHA-256-PLUS': (services) => scram('sha256', services, true),
  'SCRAM-SHA-1-PLUS': (services) => scram('sha1', services, true),
  'SCRAM-SHA-256': (services) => scram('sha256', services, false),
  'SCRAM-SHA-1': (services) => scram('sha1', services, false),
  PLAIN: plain,
  LOGIN: login,
}

const nothing = new Uint8Array()
const malformed: SaslOutcome = { kind: 'malformed' }
const wrongCredentials: SaslOutcome = { kind: 'wrong-credentials' }

async function* plain(services: SaslServices): SaslExchange {
  const response = yield nothing
  const [authorization, user, password, ...more] = split(response, 0)
  if (authorization === undefined || user === undefined || password === undefined || more.length > 0) return malformed
  const name = prepared(user, limits.saslNameOctetsMax)
  const authorizationName = prepared(authorization, limits.saslNameOctetsMax)
  if (name === undefined || authorizationName === undefined) return malformed
  // Nobody acts for somebody else here.
  if (authorizationName !== '' && authorizationName !== name) return wrongCredentials
  return await byPassword(services, name, password)
}

async function* login(services: SaslServices): SaslExchange {
  const name = prepared(yield fromUtf8('Username:'), limits.saslNameOctetsMax)
  const password = yield fromUtf8('Password:')
  return name === undefined ? malformed : await byPassword(services, name, password)
}

async function byPassword({ logins, source }: SaslServices, user: string, given: Uint8Array): Promise<SaslOutcome> {
  const password = prepared(given, limits.saslPasswordOctetsMax)
  if (user === '' || password === undefined || password === '') return malformed
  const login = await logins.byPassword(user, password, source)
  return login === undefined ? wrongCredentials : { kind: 'success', login }
}

async function* scram(
  hash: ScramHash,
  { logins, random, source, binding, lastWithSuccess = false }: SaslServices,
  isBound: boolean,
): SaslExchange {
  const first = parseClientFirst(yield nothing)
  if (first === undefined || !suits(first, binding, isBound)) return malformed
  const challenge = logins.scram(first.user, hash, source)
  const nonce = first.nonce + toBase64(random.bytes(18))
  const serverFirst = `r=${nonce},s=${toBase64(challenge.salt)},i=${challenge.iterations}`

  const final = parseClientFinal(yield fromUtf8(serverFirst))
  // `c` repeats the header of the first message, so that nobody in between can have removed channel binding.
  const bound = isBound ? binding!.data : nothing
  if (final === undefined || final.nonce !== nonce) return malformed
  const isOnThisChannel = final.binding === toBase64(concat(fromUtf8(first.header), bound))
  if (!isOnThisChannel && !isBound) return malformed
  const signed = fromUtf8(`${first.bare},${serverFirst},${final.withoutProof}`)
  const found = verifierOf(challenge, hash, signed, final.proof)
  const verifier = isOnThisChannel ? found : undefined
  logins.scramEnded(first.user, source, verifier !== undefined)
  if (verifier === undefined) return wrongCredentials
  const last = fromUtf8(`v=${toBase64(hmac(hash, verifier.serverKey, signed))}`)
  if (lastWithSuccess) return { kind: 'success', login: verifier.login, last }
  const answer = yield last
  return answer.length === 0 ? { kind: 'success', login: verifier.login } : malformed
}

/** RFC 5802 §6: `y` says that the client would have bound the channel had the server offered it. */
function suits({ flag }: ClientFirst, binding: ChannelBinding | undefined, isBound: boolean): boolean {
  if (isBound) return binding !== undefined && flag === `p=${binding.type}`
  return flag === 'n' || (flag === 'y' && binding === undefined)
}

interface ClientFirst {
  /** GS2 header, as sent. */
  readonly header: string
  /** `n`, `y`, or `p=` and the channel binding that it uses. */
  readonly flag: string
  /** The rest, as sent. */
  readonly bare: string
  readonly user: string
  readonly nonce: string
}

/** `n,a=authzid,n=user,r=nonce`; `undefined` also for the extensions that we do not offer. */
function parseClientFirst(message: Uint8Array): ClientFirst | undefined {
  const text = toUtf8(message)
  const parts =
    text === undefined ? null : /^(([ny]|p=[-.\dA-Za-z]+),(?:a=([^,]+))?,)(n=([^,]+),r=([^,]+)(?:,[^,]+)*)$/s.exec(text)
  if (parts === null) return undefined
  const user = saslName(parts[5]!)
  const authorization = parts[3] === undefined ? user : saslName(parts[3])
  const nonce = parts[6]!
  if (user === undefined || authorization !== user || !isNonce(nonce)) return undefined
  return { header: parts[1]!, flag: parts[2]!, bare: parts[4]!, user, nonce }
}

interface ClientFinal {
  readonly binding: string
  readonly nonce: string
  readonly proof: Uint8Array
  readonly withoutProof: string
}

function parseClientFinal(message: Uint8Array): ClientFinal | undefined {
  const text = toUtf8(message)
  const parts = text === undefined ? null : /^(c=([^,]+),r=([^,]+)(?:,[^,]+)*),p=([^,]+)$/s.exec(text)
  const proof = parts === null ? undefined : fromBase64(parts[4]!)
  if (parts === null || proof === undefined) return undefined
  return { binding: parts[2]!, nonce: parts[3]!, proof, withoutProof: parts[1]! }
}

/** The verifier that the proof belongs to. Every one is tried, so that time does not tell which. */
function verifierOf(challenge: ScramChallenge, hash: ScramHash, signed: Uint8Array, proof: Uint8Array) {
  let found: ScramChallenge['verifiers'][number] | undefined
  for (const verifier of challenge.verifiers) {
    const signature = hmac(hash, verifier.storedKey, signed)
    if (proof.length !== signature.length) continue
    const clientKey = signature.map((byte, at) => byte ^ proof[at]!)
    const storedKey = createHash(hash).update(clientKey).digest()
    if (equalConstantTime(storedKey, verifier.storedKey)) found = verifier
  }
  return found
}

/** RFC 5802 §5.1: `,` and `=` travel as `=2C` and `=3D`. */
function saslName(escaped: string): string | undefined {
  if (/=(?!2C|3D)/.test(escaped)) return undefined
  const name = escaped.replaceAll('=2C', ',').replaceAll('=3D', '=')
  return prepared(fromUtf8(name), limits.saslNameOctetsMax)
}

const isNonce = (text: string): boolean =>
  text.length <= limits.saslNonceOctetsMax && /^[\x21-\x2b\x2d-\x7e]+$/.test(text)

/**
 * As much of SASLprep (RFC 4013) as names and app passwords of this gateway need: well-formed, NFKC, no control
 * characters, bounded. `undefined` for anything else.
 */
function prepared(bytes: Uint8Array, octetsMax: number): string | undefined {
  if (bytes.length > octetsMax) return undefined
  const text = toUtf8(bytes)?.normalize('NFKC')
  return text === undefined || /\p{Cc}/u.test(text) ? undefined : text
}

function split(bytes: Uint8Array, separator: number): readonly Uint8Array[] {
  const parts: Uint8Array[] = []
  let rest = bytes
  for (let at = rest.indexOf(separator); at >= 0 && parts.length < 4; at = rest.indexOf(separator)) {
    parts.push(rest.subarray(0, at))
    rest = rest.subarray(at + 1)
  }
  return [...parts, rest]
}

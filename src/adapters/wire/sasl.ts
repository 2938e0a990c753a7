/**
 * Server sides of PLAIN (RFC 4616), LOGIN, SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677), each written as the
 * dialogue it is: a generator that yields challenges, is given responses and returns the outcome. No channel binding:
 * the -PLUS names are not offered. How base64, initial responses and `*` look is the protocol's business.
 */
import { createHash } from 'node:crypto'
import type { Random } from '../../core/ambient.ts'
import { equalConstantTime, fromBase64, fromUtf8, toBase64, toUtf8 } from '../../core/bytes.ts'
import type { Login, Logins, ScramChallenge, ScramHash } from '../../core/account/logins.ts'
import { hmac } from '../../core/crypto/kdf.ts'
import { limits } from '../../core/limits.ts'

export const saslMechanisms = ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'LOGIN'] as const
export type SaslMechanism = (typeof saslMechanisms)[number]

export const parseSaslMechanism = (name: string): SaslMechanism | undefined =>
  saslMechanisms.find((known) => known === name.toUpperCase())

export type SaslOutcome =
  | { readonly kind: 'success'; readonly login: Login }
  | { readonly kind: 'wrong-credentials' }
  /** Not a response of this mechanism. */
  | { readonly kind: 'malformed' }

export interface SaslServices {
  readonly logins: Logins
  readonly random: Random
  /** Remote address: what failures are counted against. */
  readonly source: string
}

/**
 * One exchange. `next()` gives the first challenge, `next(response)` each further one and finally the outcome. An
 * initial response answers the first challenge, which is then not sent. To cancel, stop calling.
 * Rejects with `throttled`.
 */
export type SaslExchange = AsyncGenerator<Uint8Array, SaslOutcome, Uint8Array>

export const startSasl = (mechanism: SaslMechanism, services: SaslServices): SaslExchange =>
  exchanges[mechanism](services)

const exchanges: Readonly<Record<SaslMechanism, (services: SaslServices) => SaslExchange>> = {
  'SCRAM-SHA-256': (services) => scram('sha256', services),
  'SCRAM-SHA-1': (services) => scram('sha1', services),
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

async function* scram(hash: ScramHash, { logins, random, source }: SaslServices): SaslExchange {
  const first = parseClientFirst(yield nothing)
  if (first === undefined) return malformed
  const challenge = logins.scram(first.user, hash, source)
  const nonce = first.nonce + toBase64(random.bytes(18))
  const serverFirst = `r=${nonce},s=${toBase64(challenge.salt)},i=${challenge.iterations}`

  const final = parseClientFinal(yield fromUtf8(serverFirst))
  // `c` repeats the header of the first message, so that nobody in between can have removed channel binding.
  if (final === undefined || final.nonce !== nonce || final.binding !== toBase64(fromUtf8(first.header))) {
    return malformed
  }
  const signed = fromUtf8(`${first.bare},${serverFirst},${final.withoutProof}`)
  const verifier = verifierOf(challenge, hash, signed, final.proof)
  logins.scramEnded(first.user, source, verifier !== undefined)
  if (verifier === undefined) return wrongCredentials
  const answer = yield fromUtf8(`v=${toBase64(hmac(hash, verifier.serverKey, signed))}`)
  return answer.length === 0 ? { kind: 'success', login: verifier.login } : malformed
}

interface ClientFirst {
  /** GS2 header, as sent. */
  readonly header: string
  /** The rest, as sent. */
  readonly bare: string
  readonly user: string
  readonly nonce: string
}

/** `n,a=authzid,n=user,r=nonce`; `undefined` also for the extensions and the channel binding that we do not offer. */
function parseClientFirst(message: Uint8Array): ClientFirst | undefined {
  const text = toUtf8(message)
  const parts = text === undefined ? null : /^([ny],(?:a=([^,]+))?,)(n=([^,]+),r=([^,]+)(?:,[^,]+)*)$/s.exec(text)
  if (parts === null) return undefined
  const user = saslName(parts[4]!)
  const authorization = parts[2] === undefined ? user : saslName(parts[2])
  const nonce = parts[5]!
  if (user === undefined || authorization !== user || !isNonce(nonce)) return undefined
  return { header: parts[1]!, bare: parts[3]!, user, nonce }
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

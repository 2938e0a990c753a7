/**
 * Tokens by which a program logs in again without its password (XEP-0484), each for one program of one account. They end
 * with the app password by which they were asked for. A token that is used without channel binding is shown the same way
 * each time, so that only a hash of that is kept; with channel binding the server must know it.
 */
import type { Ambient } from '../../../core/ambient.ts'
import type { Login, Logins } from '../../../core/account/logins.ts'
import { concat, equalConstantTime, fromUtf8, toBase64Url } from '../../../core/bytes.ts'
import { array, bytes, decode, encode, hexId, record, text, u64, u8 } from '../../../core/codec.ts'
import { hmac, sha256 } from '../../../core/crypto/kdf.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'

/** draft-schmaus-kitten-sasl-ht. */
export const tokenMechanisms = ['HT-SHA-256-EXPR', 'HT-SHA-256-NONE'] as const
export type TokenMechanism = (typeof tokenMechanisms)[number]

interface Token {
  readonly mechanism: number
  /** Unbound: hash of what the client shows. Bound: the token. */
  readonly secret: Uint8Array
  /** Unbound: what the server answers. Bound: nothing. */
  readonly answer: Uint8Array
  readonly madeAtMs: number
  readonly expiresMs: number
}

interface Row {
  readonly account: Identity
  readonly passwordId: string
  readonly tokens: readonly Token[]
}

const tokenCodec = record<Token>({
  mechanism: u8,
  secret: bytes(128),
  answer: bytes(32),
  madeAtMs: u64,
  expiresMs: u64,
})
const rowCodec = record<Row>({
  account: hexId<Identity>(32),
  passwordId: text(256),
  /** The one in use, and the one that is to take its place once the client has shown that it got it. */
  tokens: array(tokenCodec, 2),
})
const macBytes = 32

export interface MadeToken {
  readonly token: string
  readonly expiresMs: number
}

export type Shown = { readonly login: Login; readonly answer: Uint8Array; readonly isOld: boolean }

export class Tokens {
  readonly #store: Store
  readonly #ambient: Ambient
  readonly #logins: Logins

  constructor(store: Store, ambient: Ambient, logins: Logins) {
    this.#store = store
    this.#ambient = ambient
    this.#logins = logins
  }

  /** The token that was in use stays good until this one is. */
  async make(login: Login, agent: string, mechanism: TokenMechanism): Promise<MadeToken> {
    const token = toBase64Url(this.#ambient.random.bytes(32))
    const madeAtMs = this.#ambient.clock.nowMs()
    const expiresMs = madeAtMs + limits.xmppTokenMs
    const made: Token = { ...proofs(token, mechanism), madeAtMs, expiresMs }
    await this.#store.write((tx) => {
      const key = keyOf(tx, login.account, agent)
      const before = read(tx, key)
      const tokens = before?.passwordId === login.passwordId ? before.tokens.slice(0, 1) : []
      this.#makeRoom(tx, login.account, key)
      tx.put(tables.xmppTokens, key, encode(rowCodec, { ...login, tokens: [...tokens, made] }))
    })
    return { token, expiresMs }
  }

  /** The one that is oldest goes. */
  #makeRoom(tx: WriteTx, account: Identity, key: Uint8Array): void {
    if (tx.has(tables.xmppTokens, key)) return
    const rows = Array.from(tx.range(tables.xmppTokens, { prefix: prefixOf(tx, account) }), (row) => ({
      key: row.key,
      atMs: decode(rowCodec, row.value).tokens.at(-1)?.madeAtMs ?? 0,
    }))
    if (rows.length < limits.xmppTokensPerAccountMax) return
    tx.remove(tables.xmppTokens, rows.toSorted((a, b) => a.atMs - b.atMs)[0]!.key)
  }

  /**
   * A token shown by its client; a newer one that is shown takes the place of the one before.
   * @param binding data of the channel, nothing without channel binding
   */
  async show(
    account: Identity,
    agent: string,
    {
      mechanism,
      proof,
      binding,
    }: { readonly mechanism: TokenMechanism; readonly proof: Uint8Array; readonly binding: Uint8Array },
  ): Promise<Shown | undefined> {
    const row = this.#store.read((tx) => read(tx, keyOf(tx, account, agent)))
    if (row === undefined || row.account !== account) return undefined
    const nowMs = this.#ambient.clock.nowMs()
    const at = row.tokens.findIndex(
      (token) =>
        token.mechanism === tokenMechanisms.indexOf(mechanism) &&
        token.expiresMs > nowMs &&
        fits(token, proof, binding),
    )
    const token = row.tokens[at]
    const login: Login = { account, passwordId: row.passwordId }
    if (token === undefined || !this.#logins.isGood(login)) return undefined
    if (at > 0)
      await this.#store.write((tx) => {
        tx.put(tables.xmppTokens, keyOf(tx, account, agent), encode(rowCodec, { ...row, tokens: [token] }))
      })
    const isOld = nowMs - token.madeAtMs > limits.xmppTokenFreshMs
    return { login, answer: answerOf(token, binding), isOld }
  }

  /** XEP-0484 §3.6. */
  async revoke(account: Identity, agent: string): Promise<void> {
    await this.#store.write((tx) => tx.remove(tables.xmppTokens, keyOf(tx, account, agent)))
  }
}

const mac = (key: Uint8Array, word: 'Initiator' | 'Responder', binding: Uint8Array): Uint8Array =>
  hmac('sha256', key, concat(fromUtf8(word), binding))

const nothing = new Uint8Array()
const isBound = (mechanism: TokenMechanism): boolean => mechanism !== 'HT-SHA-256-NONE'

function proofs(token: string, mechanism: TokenMechanism): Pick<Token, 'mechanism' | 'secret' | 'answer'> {
  const number = tokenMechanisms.indexOf(mechanism)
  const key = fromUtf8(token)
  if (isBound(mechanism)) return { mechanism: number, secret: key, answer: nothing }
  return { mechanism: number, secret: sha256(mac(key, 'Initiator', nothing)), answer: mac(key, 'Responder', nothing) }
}

function fits({ mechanism, secret }: Token, proof: Uint8Array, binding: Uint8Array): boolean {
  if (proof.length !== macBytes) return false
  if (!isBound(tokenMechanisms[mechanism]!)) return equalConstantTime(sha256(proof), secret)
  return equalConstantTime(mac(secret, 'Initiator', binding), proof)
}

const answerOf = ({ mechanism, secret, answer }: Token, binding: Uint8Array): Uint8Array =>
  isBound(tokenMechanisms[mechanism]!) ? mac(secret, 'Responder', binding) : answer

const prefixOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(Buffer.from(account, 'hex'))
const keyOf = (tx: ReadTx, account: Identity, agent: string): Uint8Array =>
  concat(prefixOf(tx, account), tx.opaque(fromUtf8(agent)))

function read(tx: ReadTx, key: Uint8Array): Row | undefined {
  const value = tx.get(tables.xmppTokens, key)
  return value === undefined ? undefined : decode(rowCodec, value)
}

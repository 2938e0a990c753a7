/** Client logins as the adapters see them: app passwords over PLAIN, LOGIN and SCRAM, one answer for every failure. */
import type { Identity } from '../ids.ts'

export interface Login {
  readonly account: Identity
  /** Which app password was used: for logs, revocation and throttling. */
  readonly passwordId: string
}

export type ScramHash = 'sha1' | 'sha256'

/**
 * What a SCRAM server needs (RFC 5802 §3). App passwords share salt and iteration count, so the proof is tried against
 * each verifier of the account; an unknown user gets the same salt and no verifiers, and fails at the end.
 */
export interface ScramChallenge {
  readonly salt: Uint8Array
  readonly iterations: number
  readonly verifiers: readonly {
    readonly storedKey: Uint8Array
    readonly serverKey: Uint8Array
    readonly login: Login
  }[]
}

export interface Logins {
  /**
   * `user` is a localName or any of the account's addresses. `undefined` for unknown user and wrong password alike, in
   * like time. `source` (remote address) is what failures are counted against. @throws `throttled`
   */
  byPassword(user: string, password: string, source: string): Promise<Login | undefined>
  /** @throws `throttled` */
  scram(user: string, hash: ScramHash, source: string): ScramChallenge
  /** Tells the throttle how a SCRAM exchange ended. */
  scramEnded(user: string, source: string, success: boolean): void
  /** It would still be let in: its password was not revoked, its account is there and not disabled. */
  isGood(login: Login): boolean
  /**
   * Calls `ended` once when the login stops being good (password revoked, account disabled or removed), at the latest
   * in the tick after this call. Returns how to stop watching.
   */
  watch(login: Login, ended: () => void): () => void
}

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { Identity } from '../../../src/core/ids.ts'
import type { Login, Logins, ScramHash } from '../../../src/core/account/logins.ts'

export interface MemoryLogin {
  readonly user: string
  readonly password: string
  readonly account: Identity
}

export const identityOf = (name: string): Identity => createHash('sha256').update(name).digest('hex') as Identity

/** Logins kept in memory, with real SCRAM verifiers; throttles a source after `failuresMax` wrong passwords. */
export class MemoryLogins implements Logins {
  readonly ended: { readonly user: string; readonly success: boolean }[] = []
  readonly #entries: readonly MemoryLogin[]
  readonly #salt: Uint8Array
  readonly #iterations: number
  readonly #failuresMax: number
  #failures = 0

  constructor(
    entries: readonly MemoryLogin[],
    {
      salt = new Uint8Array(16).fill(7),
      iterations = 4096,
      failuresMax = 1000,
    }: { readonly salt?: Uint8Array; readonly iterations?: number; readonly failuresMax?: number } = {},
  ) {
    this.#entries = entries
    this.#salt = salt
    this.#iterations = iterations
    this.#failuresMax = failuresMax
  }

  #count(success: boolean): void {
    this.#failures = success ? 0 : this.#failures + 1
  }
  #throttle(): void {
    if (this.#failures >= this.#failuresMax) throw new MyceliumError('throttled')
  }
  #loginOf(entry: MemoryLogin): Login {
    return { account: entry.account, passwordId: createHash('sha256').update(entry.password).digest('hex') }
  }

  async byPassword(user: string, password: string): Promise<Login | undefined> {
    this.#throttle()
    const entry = this.#entries.find((known) => known.user === user && known.password === password)
    this.#count(entry !== undefined)
    return entry === undefined ? undefined : this.#loginOf(entry)
  }

  scram(user: string, hash: ScramHash) {
    this.#throttle()
    const length = hash === 'sha1' ? 20 : 32
    const verifiers = this.#entries
      .filter((known) => known.user === user)
      .map((entry) => {
        const salted = pbkdf2Sync(entry.password, this.#salt, this.#iterations, length, hash)
        const clientKey = createHmac(hash, salted).update('Client Key').digest()
        return {
          storedKey: createHash(hash).update(clientKey).digest(),
          serverKey: createHmac(hash, salted).update('Server Key').digest(),
          login: this.#loginOf(entry),
        }
      })
    return { salt: this.#salt, iterations: this.#iterations, verifiers }
  }

  /** These logins stay good. */
  isGood(): boolean {
    return true
  }
  watch(): () => void {
    return () => {}
  }

  scramEnded(user: string, _source: string, success: boolean): void {
    this.#count(success)
    this.ended.push({ user, success })
  }
}

/**
 * What cannot be undone asks for the password again (Client-Server API, "User-Interactive Authentication API"). A program
 * is given a session with the first refusal; that session is good for the same thing only, so that nobody is led to say
 * yes to something else.
 */
import { z } from 'zod'
import type { Login } from '../../../core/account/logins.ts'
import type { Random } from '../../../core/ambient.ts'
import { fromUtf8, toBase64Url, toHex } from '../../../core/bytes.ts'
import { labelledHash } from '../../../core/crypto/kdf.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { HttpRequest } from '../../wire/http.ts'
import type { Caller } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'

export const authSchema = z.looseObject({
  type: z.string().optional(),
  identifier: z.looseObject({ user: z.string().optional() }).optional(),
  user: z.string().optional(),
  password: z.string().optional(),
  session: z.string().max(limits.matrixIdOctetsMax).optional(),
})
type Auth = z.infer<typeof authSchema>

interface AgainParts {
  readonly random: Random
  readonly names: Names
  readonly byPassword: (user: string, password: string, request: HttpRequest) => Promise<Login | undefined>
}

interface Session {
  readonly account: Identity
  /** Hash of what is to be done. */
  readonly what: string
}

/** Nothing has gone wrong yet: a first answer has no errcode. */
class AskedAgain extends MatrixError {
  override get body(): Readonly<Record<string, unknown>> {
    return this.fields
  }
}

export class Again {
  readonly #parts: AgainParts
  /** The oldest first. */
  readonly #sessions = new Map<string, Session>()

  constructor(parts: AgainParts) {
    this.#parts = parts
  }

  /** @param what is to be done, in words that no two things have in common. @throws MatrixError unless it may be done */
  async check(
    { account }: Caller,
    { what: words, request }: { readonly what: string; readonly request: HttpRequest },
    given: Auth | undefined,
  ): Promise<void> {
    const what = toHex(labelledHash('mycelium/matrix-again/1', fromUtf8(words)))
    const begun = given?.session === undefined ? undefined : this.#sessions.get(given.session)
    if (begun !== undefined && (begun.account !== account || begun.what !== what))
      throw new MatrixError('M_FORBIDDEN', 'This session was begun for something else: begin again')
    const flows = (): Readonly<Record<string, unknown>> => ({
      flows: [{ stages: ['m.login.password'] }],
      params: {},
      session: begun === undefined ? this.#begin({ account, what }) : given!.session,
    })
    if (given?.password === undefined)
      throw new AskedAgain('M_FORBIDDEN', 'Say your app password again', { status: 401, fields: flows() })
    const user = given.identifier?.user ?? given.user ?? this.#parts.names.own(account)
    const login = await this.#parts.byPassword(user, given.password, request)
    if (login === undefined)
      throw new MatrixError('M_FORBIDDEN', 'Wrong app password', { status: 401, fields: flows() })
    if (login.account !== account) throw new MatrixError('M_FORBIDDEN', 'This is the password of somebody else')
    if (given.session !== undefined) this.#sessions.delete(given.session)
  }

  #begin(session: Session): string {
    const [oldest] = this.#sessions.keys()
    if (this.#sessions.size >= limits.matrixAuthSessionsMax && oldest !== undefined) this.#sessions.delete(oldest)
    const id = toBase64Url(this.#parts.random.bytes(16))
    this.#sessions.set(id, session)
    return id
  }
}

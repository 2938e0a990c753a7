/** How LOGIN and AUTHENTICATE end: the connection belongs to an account, or it does not. */
import type { Login } from '../../core/account/logins.ts'
import { capabilities } from './capabilities.ts'
import { no, ok, type Tagged } from './responses.ts'
import type { Session } from './session.ts'

const refused = no('Wrong user name or password', 'AUTHENTICATIONFAILED')
export const notPrivate = no('Passwords travel only inside TLS: use STARTTLS first', 'PRIVACYREQUIRED')

export function welcome(session: Session, login: Login | undefined): Tagged {
  if (login === undefined) return refused
  session.logIn(login)
  return ok('Logged in', `CAPABILITY ${capabilities(session)}`)
}

/** Logins as one protocol's server uses them, with how they ended counted: for metrics. */
import type { Logins } from './core/account/logins.ts'
import { hasCode } from './core/errors.ts'

export interface LoginCounts {
  ok: number
  wrong: number
  throttled: number
}

export const newLoginCounts = (): LoginCounts => ({ ok: 0, wrong: 0, throttled: 0 })

export function countedLogins(logins: Logins, counts: LoginCounts): Logins {
  const throttled = (error: unknown): never => {
    if (hasCode(error, 'throttled')) counts.throttled += 1
    throw error
  }
  return {
    async byPassword(user, password, source) {
      const login = await logins.byPassword(user, password, source).catch(throttled)
      counts[login === undefined ? 'wrong' : 'ok'] += 1
      return login
    },
    scram(user, hash, source) {
      try {
        return logins.scram(user, hash, source)
      } catch (error) {
        return throttled(error)
      }
    },
    scramEnded(user, source, success) {
      counts[success ? 'ok' : 'wrong'] += 1
      logins.scramEnded(user, source, success)
    },
    isGood: (login) => logins.isGood(login),
    watch: (login, ended) => logins.watch(login, ended),
  }
}

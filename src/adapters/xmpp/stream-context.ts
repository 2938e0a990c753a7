/** What every connection of the server has at hand. */
import type { Ambient } from '../../core/ambient.ts'
import type { Turns } from '../wire/turns.ts'
import type { Tokens } from './login/tokens.ts'
import type { XmppServer } from './server.ts'
import type { Sessions } from './sessions.ts'

export interface StreamContext {
  readonly server: XmppServer
  readonly ambient: Ambient
  readonly sessions: Sessions
  readonly tokens: Tokens
  readonly turns: Turns
}

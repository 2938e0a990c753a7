/** STUN and TURN servers of the configuration, with the secrets that their files hold now. */
import { readFileSync } from 'node:fs'
import type { ExternalService } from './adapters/wire/external-service.ts'
import type { Config } from './config.ts'
import type { Log } from './core/ambient.ts'

export const turnServers = (turn: Config['xmpp']['turn'], log: Log): readonly ExternalService[] =>
  turn.map(({ secretFile, ...server }) => ({
    ...server,
    secret: () => (secretFile === '' ? undefined : secretIn(secretFile, log)),
  }))

/** Spaces and the end of the line do not belong to it. */
function secretIn(file: string, log: Log): Uint8Array | undefined {
  try {
    const text = readFileSync(file, 'utf8').trim()
    if (text !== '') return Buffer.from(text)
    log.warn('turn.secret-empty')
  } catch (error) {
    log.warn('turn.secret-unreadable', { error: (error as NodeJS.ErrnoException).code ?? 'unknown' })
  }
  return undefined
}

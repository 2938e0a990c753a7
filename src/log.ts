/**
 * Structured log: one JSON object a line, on standard error. Events have stable names and short fields; content,
 * addresses, subjects and keys stay out, and a text that looks like an address is dropped here as a last line of defence.
 */
import type { Clock, Log, LogFields } from './core/ambient.ts'

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

export interface Logger extends Log {
  /** The same log with fields on every line, e.g. the id of a connection. */
  child(fields: LogFields): Logger
}

const fieldCharsMax = 256

const safe = (value: string | number | boolean | undefined): string | number | boolean | undefined =>
  typeof value !== 'string' ? value : value.includes('@') ? '[withheld]' : value.slice(0, fieldCharsMax)

export function createLog(
  level: LogLevel,
  { clock, write }: { readonly clock: Clock; readonly write: (line: string) => void },
  bound: LogFields = {},
): Logger {
  const lowest = logLevels.indexOf(level)
  const at = (own: LogLevel) => {
    const enabled = logLevels.indexOf(own) >= lowest
    return (event: string, fields: LogFields = {}): void => {
      if (!enabled) return
      const entries = Object.entries({ ...bound, ...fields }).map(([key, value]) => [key, safe(value)])
      write(
        `${JSON.stringify({ at: new Date(clock.nowMs()).toISOString(), level: own, event, ...Object.fromEntries(entries) })}\n`,
      )
    }
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => createLog(level, { clock, write }, { ...bound, ...fields }),
  }
}

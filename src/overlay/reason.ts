import { MyceliumError } from '../core/errors.ts'

/**
 * A word or two that may be shown or logged: our own reasons, and of a foreign error its kind at most, or `foreign`. Its
 * text may name addresses.
 */
export function reasonOf(error: unknown, foreign?: string): string {
  if (error instanceof MyceliumError) return String(error.details['reason'] ?? error.code)
  return foreign ?? (error instanceof Error ? error.name : 'unknown')
}

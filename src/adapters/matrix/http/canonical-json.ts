/** Content of events: an object of canonical JSON, in which numbers are whole and exact (Appendices, "Canonical JSON"; since room version 6). */
import { anyJson } from './api.ts'

export const eventContent = anyJson.refine(isCanonical, 'numbers are whole, and between -(2^53)+1 and 2^53-1')

function isCanonical(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.values(value).every(isCanonical)
}

/** Content of events: an object of canonical JSON, in which numbers are whole and exact (Appendices, "Canonical JSON"; since room version 6). */
import { limits } from '../../../core/limits.ts'
import { anyJson, type Json } from './api.ts'
import { MatrixError } from './matrix-error.ts'

export const eventContent = anyJson.refine(isCanonical, 'numbers are whole, and between -(2^53)+1 and 2^53-1')

function isCanonical(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.values(value).every(isCanonical)
}

/** Client-Server API, "Size limits". @throws MatrixError `M_TOO_LARGE` */
export function refuseLarge(content: Json): void {
  if (Buffer.byteLength(JSON.stringify(content)) > limits.matrixEventBytesMax)
    throw new MatrixError('M_TOO_LARGE', `An event has ${limits.matrixEventBytesMax} octets at most`)
}

/** An event of a call as another gateway's program wrote it. */
import { toUtf8 } from '../../../core/bytes.ts'
import type { Json } from '../http/api.ts'

export interface CallEvent {
  readonly type: string
  readonly content: Json
}

/** @returns undefined for what is none */
export function callEvent(payload: Uint8Array): CallEvent | undefined {
  try {
    const { type, content } = JSON.parse(toUtf8(payload) ?? '') as Partial<CallEvent>
    const isCall = typeof type === 'string' && /^m\.call\.[a-z_]{1,64}$/.test(type)
    return isCall && typeof content === 'object' && content !== null && !Array.isArray(content)
      ? { type, content }
      : undefined
  } catch {
    return undefined
  }
}

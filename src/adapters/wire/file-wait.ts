/** A message's file that is still on its way here: programs ask for it as soon as they see the message. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Files } from '../../core/delivery/files.ts'
import { hasCode, MyceliumError } from '../../core/errors.ts'
import type { Identity, MessageId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'

export type Waited = 'here' | 'coming' | 'gone' | 'no-room'

/** @param ms how long it is waited for */
export async function untilHere(
  files: Files,
  account: Identity,
  message: MessageId,
  { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
): Promise<Waited> {
  const isHere = (): boolean => files.standing(account, message)?.state === 'here'
  if (isHere()) return 'here'
  try {
    await files.fetch(account, message)
  } catch (error) {
    if (hasCode(error, 'no-such-message')) return 'gone'
    if (error instanceof MyceliumError) return 'no-room'
    throw error
  }
  const untilMs = performance.now() + ms
  while (!isHere()) {
    if (signal.aborted || performance.now() > untilMs) return 'coming'
    await pause(limits.fileAwaitStepMs)
  }
  return 'here'
}

/**
 * The 24 words until somebody confirms them. They are shown once at creation and not kept, except where nobody could
 * see them: a first start without a terminal holds them sealed in the store for `recovery show`, and forgets them at
 * the confirmation. (2026-11-20: "never stored" without this exception would mean an account that nothing recovers.)
 */
import { equalConstantTime, wipe } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity } from '../ids.ts'
import type { LogState } from '../identity/account-log.ts'
import { parseWords, rootKeyOf, wordsOf } from '../identity/mnemonic.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

export interface WordAt {
  /** 1 … 24 */
  readonly position: number
  readonly word: string
}

const wordCount = 24
const keyOf = (tx: ReadTx, identity: Identity): Uint8Array => tx.opaque(Buffer.from(identity, 'hex'))

/** @throws `words-confirmed` when nothing is kept */
export function recoveryWords(store: Store, identity: Identity): string {
  const entropy = store.read((tx) => tx.get(tables.recovery, keyOf(tx, identity)))
  if (entropy === undefined) throw new MyceliumError('words-confirmed')
  return wordsOf(entropy)
}

/** Forgets kept words once some of them are right; without kept words all 24 must give the root key. @throws `words-wrong` */
export function confirmRecovery(tx: WriteTx, state: LogState, given: readonly WordAt[]): void {
  const key = keyOf(tx, state.identity)
  const entropy = tx.get(tables.recovery, key)
  const isRight = entropy === undefined ? areTheRootsWords(state, given) : areAmong(wordsOf(entropy), given)
  if (!isRight) throw new MyceliumError('words-wrong')
  if (entropy !== undefined) wipe(entropy)
  tx.remove(tables.recovery, key)
}

function areAmong(mnemonic: string, given: readonly WordAt[]): boolean {
  const words = mnemonic.split(' ')
  return given.length > 0 && given.every(({ position, word }) => words[position - 1] === word.trim().toLowerCase())
}

function areTheRootsWords({ rootKey, generation }: LogState, given: readonly WordAt[]): boolean {
  const byPosition = new Map(given.map(({ position, word }) => [position, word]))
  const text = Array.from({ length: wordCount }, (_, index) => byPosition.get(index + 1) ?? '').join(' ')
  try {
    return equalConstantTime(rootKeyOf(parseWords(text), generation).publicKey, rootKey)
  } catch (error) {
    if (error instanceof MyceliumError) return false
    throw error
  }
}

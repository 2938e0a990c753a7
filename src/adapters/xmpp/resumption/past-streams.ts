/** Streams that are over: for a while it is known what was handled of them, so that their clients repeat nothing. */
import { toHex } from '../../../core/bytes.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { WriteTx } from '../../../core/store/store.ts'
import type { StreamRows } from './stream-rows.ts'

interface Past {
  readonly id: Uint8Array
  readonly account: Identity
  readonly overAtMs: number
}

export class PastStreams {
  readonly #rows: StreamRows
  /** In the order in which they ended, as far as this process has seen it. */
  readonly #all = new Map<string, Past>()

  constructor(rows: StreamRows) {
    this.#rows = rows
  }

  know(id: Uint8Array, account: Identity, overAtMs: number): void {
    this.#all.set(toHex(id), { id, account, overAtMs })
  }

  add(tx: WriteTx, id: Uint8Array, nowMs: number): void {
    const row = this.#rows.get(tx, id)
    if (row === undefined) return
    this.#rows.over(tx, id, nowMs)
    this.know(id, row.account, nowMs)
    const ofAccount = [...this.#all.values()].filter(({ account }) => account === row.account)
    for (const oldest of ofAccount.slice(0, -limits.xmppStreamRowsPerAccountMax)) this.#forget(tx, oldest)
  }

  hasOld(nowMs: number): boolean {
    return this.#old(nowMs).length > 0
  }

  forgetOld(tx: WriteTx, nowMs: number): void {
    for (const past of this.#old(nowMs)) this.#forget(tx, past)
  }

  #old(nowMs: number): readonly Past[] {
    return [...this.#all.values()].filter(({ overAtMs }) => nowMs - overAtMs > limits.xmppStreamKeptMs)
  }

  #forget(tx: WriteTx, { id }: Past): void {
    this.#rows.remove(tx, id)
    this.#all.delete(toHex(id))
  }
}

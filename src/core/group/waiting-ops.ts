/** Operations that cannot be judged yet, bounded in number and octets: the oldest one goes, and can be had again from others. */
import type { GroupOpId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadGroupOp } from './op.ts'

interface Waiting {
  readonly read: ReadGroupOp
  /** Parents that are not here; none: it waits for an account log. */
  readonly missing: Set<GroupOpId>
}

export class WaitingOps {
  /** In the order in which they came. */
  readonly #ops = new Map<GroupOpId, Waiting>()
  readonly #byParent = new Map<GroupOpId, Set<GroupOpId>>()
  #bytes = 0

  get size(): number {
    return this.#ops.size
  }
  has(id: GroupOpId): boolean {
    return this.#ops.has(id)
  }

  add(read: ReadGroupOp, missing: readonly GroupOpId[]): void {
    this.#ops.set(read.id, { read, missing: new Set(missing) })
    this.#bytes += read.signed.body.length
    for (const parent of missing) {
      const children = this.#byParent.get(parent)
      if (children === undefined) this.#byParent.set(parent, new Set([read.id]))
      else children.add(read.id)
    }
    while (this.#ops.size > limits.groupWaitingOpsMax || this.#bytes > limits.groupWaitingBytesMax) {
      this.#take(this.#ops.keys().next().value!)
    }
  }

  /** Those that waited for nothing but `parent`. */
  takeWaitingFor(parent: GroupOpId): readonly ReadGroupOp[] {
    const children = [...(this.#byParent.get(parent) ?? [])]
    this.#byParent.delete(parent)
    return children.flatMap((id) => {
      const { missing } = this.#ops.get(id)!
      missing.delete(parent)
      return missing.size > 0 ? [] : this.#take(id)
    })
  }

  /** Those that wait for an account log. */
  takeUnblocked(): readonly ReadGroupOp[] {
    const ids = [...this.#ops].filter(([, { missing }]) => missing.size === 0).map(([id]) => id)
    return ids.map((id) => this.#take(id))
  }

  #take(id: GroupOpId): ReadGroupOp {
    const { read, missing } = this.#ops.get(id)!
    this.#ops.delete(id)
    this.#bytes -= read.signed.body.length
    for (const parent of missing) {
      const children = this.#byParent.get(parent)
      children?.delete(id)
      if (children?.size === 0) this.#byParent.delete(parent)
    }
    return read
  }
}

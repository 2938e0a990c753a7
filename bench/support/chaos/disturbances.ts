/** What keeps gateways from each other now; each pair is as bad as the worst that is true of it. */
import type { MemoryNetwork } from '../../../src/overlay/memory-overlay.ts'

type State = 'whole' | 'partition' | 'silence'

export class Disturbances {
  readonly #network: MemoryNetwork
  readonly #names: readonly string[]
  readonly #states = new Map<string, State>()
  /** Nobody hears of them, and nobody is told. */
  readonly #silent = new Set<string>()
  #split: { readonly side: ReadonlySet<string>; readonly isSilent: boolean } | undefined

  constructor(network: MemoryNetwork, names: readonly string[]) {
    this.#network = network
    this.#names = names
  }

  /** Those of one side reach nobody of the other. */
  split(side: ReadonlySet<string>, isSilent: boolean): void {
    this.#split = { side, isSilent }
    this.#apply()
  }
  unite(): void {
    this.#split = undefined
    this.#apply()
  }
  silence(name: string): void {
    this.#silent.add(name)
    this.#apply()
  }
  unsilence(name: string): void {
    this.#silent.delete(name)
    this.#apply()
  }
  endAll(): void {
    this.#silent.clear()
    this.unite()
  }

  #apply(): void {
    for (const [at, a] of this.#names.entries()) {
      for (const b of this.#names.slice(at + 1)) this.#set(a, b, this.#wanted(a, b))
    }
  }

  #wanted(a: string, b: string): State {
    const isApart = this.#split !== undefined && this.#split.side.has(a) !== this.#split.side.has(b)
    if (isApart && !this.#split!.isSilent) return 'partition'
    return isApart || this.#silent.has(a) || this.#silent.has(b) ? 'silence' : 'whole'
  }

  #set(a: string, b: string, state: State): void {
    const pair = `${a} ${b}`
    const before = this.#states.get(pair) ?? 'whole'
    if (before === state) return
    this.#states.set(pair, state)
    if (before !== 'whole') this.#network.heal(a, b)
    if (state === 'partition') this.#network.partition(a, b)
    if (state === 'silence') this.#network.silence(a, b)
  }
}

/**
 * Work as a count instead of a time, for what must grow in proportion to its input: the blocks of this project's code
 * that ran, and the octets or characters that searches went over. It is the same on every machine, however busy.
 */
import { Session } from 'node:inspector'

export interface Steps extends Disposable {
  /** How many `run` took. */
  of(run: () => void): number
}

const searchable: readonly object[] = [String.prototype, Buffer.prototype, Uint8Array.prototype]

/** What is counted must be imported afterwards: code that was compiled before carries no counters. */
export function countSteps(): Steps {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  let searched = 0
  const restorers = searchable.map((prototype) => {
    const original = Object.getOwnPropertyDescriptor(prototype, 'indexOf')
    const indexOf = Reflect.get(prototype, 'indexOf') as (this: unknown, ...args: unknown[]) => number
    const value = function counting(this: { readonly length: number }, ...args: unknown[]): number {
      const found = indexOf.apply(this, args)
      searched += Math.max(0, (found < 0 ? this.length : found) - Number(args[1] ?? 0))
      return found
    }
    Object.defineProperty(prototype, 'indexOf', { value, configurable: true, writable: true })
    return () =>
      original === undefined
        ? Reflect.deleteProperty(prototype, 'indexOf')
        : Object.defineProperty(prototype, 'indexOf', original)
  })
  /** The counts since the last call. */
  const blocks = (): number => {
    let count = 0
    session.post('Profiler.takePreciseCoverage', (_, taken) => {
      for (const { url, functions } of taken.result)
        if (url.includes('/src/')) for (const { ranges } of functions) for (const range of ranges) count += range.count
    })
    return count
  }
  return {
    of(run) {
      blocks()
      searched = 0
      run()
      return blocks() + searched
    },
    [Symbol.dispose]() {
      for (const restore of restorers) restore()
      session.disconnect()
    },
  }
}

/**
 * Memory that is used again: buffers of a megabyte that come and go with every chunk cost more to collect than what is
 * done with them.
 */

const keptMax = 8
const kept: Buffer[] = []

/** Lends memory of at least so many octets for the time of `use`, which keeps nothing of it. */
export async function withScratch<T>(octets: number, use: (memory: Buffer) => Promise<T>): Promise<T> {
  const at = kept.findIndex((one) => one.length >= octets)
  const memory = at < 0 ? Buffer.allocUnsafeSlow(octets) : kept.splice(at, 1)[0]!
  try {
    return await use(memory.subarray(0, octets))
  } finally {
    kept.push(Buffer.from(memory.buffer))
    if (kept.length > keptMax) kept.shift()
  }
}

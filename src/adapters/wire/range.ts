/** Parts of a file that are asked for (RFC 9110 §14). One range is served; of several, the whole file, as §14.2 allows. */

export interface Range {
  readonly from: number
  /** Exclusive. */
  readonly to: number
}

/** @returns undefined for the whole; `unsatisfiable` where nothing of it is in the file */
export function parseRange(header: string | undefined, size: number): Range | 'unsatisfiable' | undefined {
  const found = /^bytes=[ \t]*(\d{0,16})-(\d{0,16})[ \t]*$/i.exec(header ?? '')
  if (found === null) return undefined
  const [first, last] = [found[1]!, found[2]!]
  if (first === '') {
    if (last === '') return undefined
    const length = Number(last)
    return length === 0 || size === 0 ? 'unsatisfiable' : { from: Math.max(0, size - length), to: size }
  }
  const from = Number(first)
  const to = last === '' ? size : Math.min(size, Number(last) + 1)
  if (last !== '' && Number(last) < from) return undefined
  return from >= size ? 'unsatisfiable' : { from, to }
}

/** LIST patterns (RFC 9051 §6.3.9): `*` matches anything, `%` anything but the separator. */

const star = '*'.charCodeAt(0)
const percent = '%'.charCodeAt(0)
const slash = '/'.charCodeAt(0)

/** Work is bounded by the product of both lengths, whatever the pattern; it ends where nothing can match any more. */
export function matchesPattern(pattern: string, name: string): boolean {
  const length = name.length
  // reached[i]: the pattern so far matches the first i characters of the name
  let reached = new Uint8Array(length + 1)
  let next = new Uint8Array(length + 1)
  reached[0] = 1
  let before = 0
  for (let index = 0; index < pattern.length; index += 1) {
    const char = pattern.charCodeAt(index)
    if (char === star && before === star) continue
    before = char
    let some = 0
    if (char === star || char === percent) {
      let isOpen = 0
      for (let at = 0; at <= length; at += 1) {
        if (char === percent && at > 0 && name.charCodeAt(at - 1) === slash) isOpen = 0
        isOpen |= reached[at]!
        next[at] = isOpen
        some |= isOpen
      }
    } else {
      next[0] = 0
      for (let at = 1; at <= length; at += 1) {
        const hit = name.charCodeAt(at - 1) === char ? reached[at - 1]! : 0
        next[at] = hit
        some |= hit
      }
    }
    if (some === 0) return false
    const spare = reached
    reached = next
    next = spare
  }
  return reached[length] === 1
}

/** Message-IDs in Message-ID, References and In-Reply-To (RFC 5322 §3.6.4), each in one spelling (RFC 5256 §3). */

const idCharsMax = 998 // ours: a line of mail

/** `<left@right>` in order, without brackets; what is no Message-ID is passed over. */
export function messageIds(field: string): readonly string[] {
  const ids: string[] = []
  let at = field.indexOf('<')
  while (at >= 0) {
    const close = field.indexOf('>', at)
    if (close < 0) break
    // The last `<` before it opens: what stands between two of them is torn.
    const id = canonical(field.slice(field.lastIndexOf('<', close) + 1, close))
    if (id !== undefined) ids.push(id)
    at = field.indexOf('<', close)
  }
  return ids
}

/** Folding inside goes, and quotes around the left side: they do not belong to what it says. */
function canonical(written: string): string | undefined {
  const id = written.replaceAll(/[ \t]+/g, '')
  const middle = id.lastIndexOf('@')
  if (middle < 1 || middle === id.length - 1 || id.length > idCharsMax) return undefined
  const left = id.slice(0, middle)
  if (left.length < 2 || !left.startsWith('"') || !left.endsWith('"')) return id
  return left.slice(1, -1).replaceAll(/\\(.)/g, '$1') + id.slice(middle)
}

/**
 * Globs of push rules (Appendices, "Glob-style matching"): `*` and `?`, whatever the case. What stands between two stars is
 * looked for once, from where the piece before it ended, and never again: no pattern costs much, whoever wrote the text.
 */

const isWordOctet = (character: string | undefined): boolean => character !== undefined && /\w/.test(character)

/**
 * @param how `whole`: all of the text; `words`: some of it that begins and ends at the edge of a word, as the rules say of
 * `content.body`
 */
export function globMatches(pattern: string, text: string, how: 'whole' | 'words'): boolean {
  const [glob, subject] = [pattern.toLowerCase(), text.toLowerCase()]
  const isBegin = (at: number): boolean => at === 0 || (how === 'words' && !isWordOctet(subject[at - 1]))
  const isEnd = (at: number): boolean => at === subject.length || (how === 'words' && !isWordOctet(subject[at]))
  const pieces = glob.split('*')
  let at = 0
  for (const [index, piece] of pieces.entries()) {
    const [isFirst, isLast] = [index === 0, index === pieces.length - 1]
    // the first place is the best one: it leaves the most to those that follow
    const end = endOf(subject, piece, at, {
      mayBegin: isFirst ? isBegin : always,
      mayEnd: isLast ? isEnd : always,
    })
    if (end === undefined) return false
    at = end
  }
  return true
}

interface Edges {
  readonly mayBegin: (at: number) => boolean
  readonly mayEnd: (at: number) => boolean
}
const always = (): boolean => true

/** Where the first of a piece ends that fits. */
function endOf(subject: string, piece: string, begin: number, { mayBegin, mayEnd }: Edges): number | undefined {
  const isPlain = !piece.includes('?')
  for (let at = begin; at <= subject.length; at += 1) {
    if (isPlain) at = subject.indexOf(piece, at)
    if (at < 0) return undefined
    if (!mayBegin(at)) continue
    const end = isPlain ? at + piece.length : matchedUpTo(subject, piece, at)
    if (end !== undefined && mayEnd(end)) return end
  }
  return undefined
}

const anyone = '?'.codePointAt(0)

/** A `?` is one character, also where that is two code units. */
function matchedUpTo(subject: string, piece: string, begin: number): number | undefined {
  let at = begin
  for (let of = 0; of < piece.length; of += 1) {
    const wanted = piece.charCodeAt(of)
    if (at >= subject.length || (wanted !== anyone && wanted !== subject.charCodeAt(at))) return undefined
    at += wanted === anyone && subject.codePointAt(at)! > 0xffff ? 2 : 1
  }
  return at
}

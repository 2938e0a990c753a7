/** Globs of push rules (Appendices, "Glob-style matching"): `*` and `?`, whatever the case; linear, as no pattern may cost much. */

const isWordOctet = (character: string | undefined): boolean => character !== undefined && /\w/.test(character)

/**
 * @param how `whole`: all of the text; `words`: some of it that begins and ends at the edge of a word, as the rules say of
 * `content.body`
 */
export function globMatches(pattern: string, text: string, how: 'whole' | 'words'): boolean {
  const [glob, subject] = [pattern.toLowerCase(), text.toLowerCase()]
  const isEdge = (at: number, of: number): boolean => at === of || (how === 'words' && !isWordOctet(subject[at]))
  /** Places in the glob up to which some of the text fits, taken along together. */
  let states = new Set<number>()
  for (let at = 0; ; at += 1) {
    if (at === 0 || (how === 'words' && !isWordOctet(subject[at - 1]))) states.add(0)
    states = closure(glob, states)
    if (states.has(glob.length) && isEdge(at, subject.length)) return true
    if (at >= subject.length) return false
    const next = new Set<number>()
    for (const state of states) {
      if (glob[state] === '*') next.add(state)
      else if (glob[state] === '?' || (state < glob.length && glob[state] === subject[at])) next.add(state + 1)
    }
    states = next
  }
}

/** A star may stand for nothing. */
function closure(glob: string, states: Set<number>): Set<number> {
  for (const state of states) if (glob[state] === '*') states.add(state + 1)
  return states
}

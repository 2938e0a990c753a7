/** Text as RFC 3676 lets mail programs break it: lines that end in a space go on with the next one. */

/** The paragraphs as their author wrote them, quote marks kept. @param isDelSp the space itself was added too (`DelSp=yes`) */
export function unflowed(text: string, isDelSp: boolean): string {
  const out: string[] = []
  let open: { readonly depth: number; text: string } | undefined
  const finish = (): void => {
    if (open !== undefined) out.push(quoted(open.depth, open.text))
    open = undefined
  }
  for (const line of text.split(/\r\n|\n/)) {
    const depth = /^>*/.exec(line)![0].length
    const rest = line.slice(depth)
    const content = rest.startsWith(' ') ? rest.slice(1) : rest
    // §4.3: the line before a signature is no flowed line
    const isSignature = content === '-- '
    if (open !== undefined && (open.depth !== depth || isSignature)) finish()
    const isFlowed = content.endsWith(' ') && !isSignature
    const taken = isFlowed && isDelSp ? content.slice(0, -1) : content
    if (open === undefined) open = { depth, text: taken }
    else open.text += taken
    if (!isFlowed) finish()
  }
  finish()
  return out.join('\n')
}

const quoted = (depth: number, text: string): string => (depth === 0 ? text : `${'>'.repeat(depth)} ${text}`)

/** Byte mutation: what a broken network, a broken program or an attacker makes of good input. */
import { below, type Random } from '../seeded.ts'

/** Pieces that parsers trip over. */
const pieces: readonly string[] = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '  ',
  '"',
  '\\',
  '(',
  ')',
  '((((((((',
  '{0}\r\n',
  '{4+}\r\nabcd',
  '~{3+}\r\na\0b',
  '{4294967296+}\r\n',
  '{99999999999999999999}',
  '*',
  '1:*',
  '4294967295',
  '4294967296',
  '0',
  '-1',
  '%',
  '&',
  '&-',
  '&AAA',
  '=?utf-8?q?=FF?=',
  '\u00ff\u00fe',
  '\u00c3\u00a4',
  '[',
  ']',
  '<0.1>',
  '<4294967295.4294967295>',
  'BODY[',
  'NIL',
  '\r\n.\r\n',
  '\n.\n',
  ' UTF8 ~{1+}\r\nx',
]

/** One to four changes. `others` lend parts of themselves. */
export function mutated(input: string, others: readonly string[], random: Random): string {
  let text = input
  for (let change = 1 + below(random, 4); change > 0; change -= 1) text = changeOnce(text, others, random)
  return text
}

function changeOnce(text: string, others: readonly string[], random: Random): string {
  const at = below(random, text.length + 1)
  const length = 1 + below(random, random() < 0.2 ? 64 : 6)
  switch (below(random, 7)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length)
    case 1:
      return text.slice(0, at) + pieces[below(random, pieces.length)]! + text.slice(at)
    case 2:
      return text.slice(0, at) + String.fromCharCode(below(random, 256)) + text.slice(at + 1)
    case 3:
      return text.slice(0, at) + text.slice(at, at + length).repeat(2 + below(random, 40)) + text.slice(at + length)
    case 4: {
      const other = others[below(random, others.length)] ?? ''
      const from = below(random, other.length + 1)
      return text.slice(0, at) + other.slice(from, from + below(random, 60)) + text.slice(at)
    }
    case 5:
      return text.replace(/\d+/, String(2 ** below(random, 54)))
    default:
      return text.slice(0, at)
  }
}

/** i;unicode-casemap (RFC 5051): texts become keys that compare octet by octet. */
import { fromUtf8, toLatin1 } from '../../../core/bytes.ts'

/** Titlecase where it differs from what upper case can tell: digraphs, and Greek letters with an iota below. */
const titleCases: ReadonlyMap<number, number> = new Map([
  ...[0x1c4, 0x1c7, 0x1ca, 0x1f1].flatMap((upper): [number, number][] => [
    [upper, upper + 1],
    [upper + 1, upper + 1],
    [upper + 2, upper + 1],
  ]),
  ...[0x1f80, 0x1f90, 0x1fa0].flatMap((first) =>
    Array.from({ length: 8 }, (_none, at): [number, number] => [first + at, first + at + 8]),
  ),
  [0x1fb3, 0x1fbc],
  [0x1fc3, 0x1fcc],
  [0x1ff3, 0x1ffc],
])
const isGeorgian = (point: number): boolean => point >= 0x10d0 && point <= 0x10ff

// eslint-disable-next-line no-control-regex
const ascii = /^[\0-\x7f]*$/

/** One character per octet, so that `<` on keys is the collation's order. */
export function collationKey(text: string): string {
  if (ascii.test(text)) return text.toUpperCase()
  let titled = ''
  for (const char of text) titled += titleCase(char)
  return toLatin1(fromUtf8(titled.normalize('NFKD')))
}

/** The simple mapping of one character to one, as RFC 5051 §2 takes it; others stay as they are. */
function titleCase(char: string): string {
  const point = char.codePointAt(0)!
  const titled = titleCases.get(point)
  if (titled !== undefined) return String.fromCodePoint(titled)
  // Georgian has upper case, but is not written with capitals: its titlecase is itself.
  if (isGeorgian(point)) return char
  const upper = char.toUpperCase()
  return upper.length === char.length ? upper : char
}

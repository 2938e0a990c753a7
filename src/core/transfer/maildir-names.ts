/** Names in a Maildir: flags at the end of a file's name, folders as Maildir++ writes them, keywords as Dovecot lists them. */
import type { Flag } from '../mailbox/mailbox.ts'
import { decodeUtf7, encodeUtf7 } from '../mailbox/utf7.ts'

const letters: Readonly<Record<string, Flag>> = {
  P: '$Forwarded',
  R: '\\Answered',
  S: '\\Seen',
  T: '\\Deleted',
  D: '\\Draft',
  F: '\\Flagged',
}
/** `a` … `z`: the only keywords that a file name has room for. */
const maildirKeywordsMax = 26
const letterA = 0x61

/** Flags of `…:2,FLAGS`; `;` and `!` stand for the colon where a file system has none. Unknown letters say nothing. */
export function flagsOfName(name: string, keywords: readonly Flag[]): readonly Flag[] {
  const info = /[:;!]2,([A-Za-z]*)$/.exec(name)?.[1] ?? ''
  return Array.from(info, (letter) => letters[letter] ?? keywords[letter.charCodeAt(0) - letterA] ?? '').filter(Boolean)
}

/** The letters, in the order of ASCII. @param keywords of the folder; new ones are added while there is room */
export function lettersOf(flags: readonly Flag[], keywords: Flag[]): string {
  const found = flags.flatMap((flag) => {
    const known = Object.keys(letters).find((letter) => letters[letter] === flag)
    return known ?? keywordLetter(flag, keywords) ?? []
  })
  return found.sort().join('')
}

function keywordLetter(flag: Flag, keywords: Flag[]): string | undefined {
  if (flag.startsWith('\\')) return undefined
  let index = keywords.indexOf(flag)
  if (index < 0 && keywords.length < maildirKeywordsMax) index = keywords.push(flag) - 1
  return index < 0 ? undefined : String.fromCharCode(letterA + index)
}

/** Lines `number name`, from 0. */
export function parseKeywords(text: string): readonly Flag[] {
  const keywords: Flag[] = Array.from({ length: maildirKeywordsMax }, () => '')
  for (const line of text.split('\n')) {
    const match = /^(\d{1,2}) (\S{1,128})\s*$/.exec(line)
    if (match !== null && Number(match[1]) < maildirKeywordsMax) keywords[Number(match[1])] = match[2]!
  }
  return keywords
}

export const formatKeywords = (keywords: readonly Flag[]): string =>
  keywords.map((keyword, index) => `${index} ${keyword}\n`).join('')

// A dot separates levels in Maildir++; inside a level it hides in base64, as nothing else may.
const hiddenDot = '&AC4-'

/** `a/b.c` → `.a.b&AC4-c` (Maildir++). */
export const folderOf = (mailbox: string): string =>
  mailbox
    .split('/')
    .map((level) => `.${encodeUtf7(level).replaceAll('.', hiddenDot)}`)
    .join('')

/** The mailbox of a Maildir++ folder; names that are not in modified UTF-7 are taken as they are. */
export const mailboxOfFolder = (folder: string): string => folder.slice(1).split('.').map(levelOf).join('/')

/** One level: a folder's name where folders lie in folders. */
export function levelOf(name: string): string {
  const pieces = name.split(hiddenDot).map(decodeUtf7)
  return pieces.includes(undefined) ? name : pieces.join('.')
}

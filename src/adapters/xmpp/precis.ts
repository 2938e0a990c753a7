/**
 * PRECIS (RFC 8264), as far as addresses need it: the profiles UsernameCaseMapped and OpaqueString of RFC 8265. Which code points
 * are valid is derived from Unicode's properties, as §8 says; the classes of writing direction from scripts, as far as letters go.
 */

/** Rules of what may stand where (RFC 5892 appendix A). */
const contextual: Readonly<Record<string, (before: string, after: string, whole: string) => boolean>> = {
  '\u00b7': (before, after) => before.endsWith('l') && after.startsWith('l'),
  '\u0375': (_before, after) => /^\p{Script=Greek}/u.test(after),
  '\u05f3': (before) => /\p{Script=Hebrew}$/u.test(before),
  '\u05f4': (before) => /\p{Script=Hebrew}$/u.test(before),
  '\u30fb': (_before, _after, whole) =>
    /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u.test(whole.replaceAll('\u30fb', '')),
  // after a virama only; where ZWNJ parts letters that join is not looked at, so it is not valid there
  '\u200c': (before) => virama.test(before),
  '\u200d': (before) => virama.test(before),
}
const virama =
  /[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u0e3a\u0eba\u0f84\u1039\u103a\u1714\u1734\u17d2\u1a60\u1b44\u1baa\u1bab\u1bf2\u1bf3]$/u

/** RFC 5892 §2.6, without those that have a rule. */
const validExceptions = /^[\u00df\u03c2\u06fd\u06fe\u0f0b\u3007]$/u
const invalidExceptions = /^(?:\u302e|\u302f|[\u0640\u07fa\u3031-\u3035\u303b])$/u
const oldHangulJamo = /^[\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7c6\ud7cb-\ud7fb]$/u
const ignorable = /^[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]$/u
const letterOrDigit = /^[\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}]$/u
/** Other letters and digits, spaces, symbols, punctuation. */
const freeform = /^[\p{Lt}\p{Nl}\p{No}\p{Me}\p{Zs}\p{S}\p{P}]$/u

type Class = 'identifier' | 'freeform'

function isValid(character: string, among: Class): boolean {
  if (validExceptions.test(character)) return true
  if (invalidExceptions.test(character)) return false
  if (/^\p{Cn}$/u.test(character)) return false
  if (/^[\u0021-\u007e]$/u.test(character)) return true
  if (oldHangulJamo.test(character) || ignorable.test(character) || /^\p{Cc}$/u.test(character)) return false
  if (character.normalize('NFKC') !== character) return among === 'freeform'
  return letterOrDigit.test(character) || (among === 'freeform' && freeform.test(character))
}

function isOf(text: string, among: Class): boolean {
  // Arabic-Indic digits of one kind only
  if (/[\u0660-\u0669]/u.test(text) && /[\u06f0-\u06f9]/u.test(text)) return false
  let at = 0
  for (const character of text) {
    const rule = contextual[character]
    const isFine =
      rule === undefined ? isValid(character, among) : rule(text.slice(0, at), text.slice(at + character.length), text)
    if (!isFine) return false
    at += character.length
  }
  return true
}

const rightToLeft =
  /^[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Samaritan}\p{Script=Mandaic}\p{Script=Adlam}\p{Script=Hanifi_Rohingya}\p{Script=Mende_Kikakui}\p{Script=Phoenician}\p{Script=Imperial_Aramaic}]$/u
const arabicDigit = /^[\u0660-\u0669\u066b\u066c]$/u
const europeanDigit = /^[\d\u06f0-\u06f9]$/u
const mark = /^\p{Mn}$/u

type Direction = 'R' | 'L' | 'AN' | 'EN' | 'NSM' | 'neutral'

function directionOf(character: string): Direction {
  if (arabicDigit.test(character)) return 'AN'
  if (europeanDigit.test(character)) return 'EN'
  if (mark.test(character)) return 'NSM'
  if (rightToLeft.test(character)) return 'R'
  return /^[\p{L}\p{Mc}\p{Nd}]$/u.test(character) ? 'L' : 'neutral'
}

/** The Bidi Rule (RFC 5893 §2), which only a text with something written from right to left has to keep. */
function keepsDirection(text: string): boolean {
  const directions = Array.from(text, directionOf)
  if (!directions.some((one) => one === 'R' || one === 'AN')) return true
  if (directions[0] !== 'R' || directions.includes('L')) return false
  if (directions.includes('EN') && directions.includes('AN')) return false
  const last = directions.findLast((one) => one !== 'NSM')
  return last === 'R' || last === 'EN' || last === 'AN'
}

/** RFC 8265 §3.3. @returns `undefined` for what is no such name */
export function usernameCaseMapped(text: string): string | undefined {
  if (/^[\u0021-\u007e]+$/u.test(text)) return text.toLowerCase()
  const narrow = text.replaceAll(/[\u3000\uff01-\uffee]/gu, (wide) => wide.normalize('NFKC'))
  const name = narrow.toLowerCase().normalize('NFC')
  return name !== '' && isOf(name, 'identifier') && keepsDirection(name) ? name : undefined
}

/** RFC 8265 §4.2. @returns `undefined` for what is no such text */
export function opaqueString(text: string): string | undefined {
  if (/^[\u0020-\u007e]+$/u.test(text)) return text
  const opaque = text.replaceAll(/\p{Zs}/gu, ' ').normalize('NFC')
  return opaque !== '' && isOf(opaque, 'freeform') ? opaque : undefined
}

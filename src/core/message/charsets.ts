/**
 * Charsets by the names that mail gives them: the platform's decoders under more names, and the few charsets of mail
 * that the platform does not offer (UTF-7, UTF-32, HZ, ISO-2022-KR, DOS code pages). Decoding never throws.
 */
import { toLatin1 } from '../bytes.ts'

export type Decode = (bytes: Uint8Array) => string

/** As many as there are names: what is not a name does not get in. */
const known = new Map<string, Decode>()
const labelCharsMax = 45 // the longest name in IANA's registry
/** Refused lately: finding out costs as much as a long text. */
const unknown = new Set<string>()
const unknownMax = 256 // ours

/** `undefined` for a charset that nobody here knows. */
export function decoderOf(label: string): Decode | undefined {
  const name = label
    .slice(0, 2 * labelCharsMax)
    .replaceAll(/^[\s'"]+|[\s'";]+$/g, '')
    .toLowerCase()
  const decode = known.get(name)
  if (decode !== undefined || name.length > labelCharsMax || unknown.has(name)) return decode
  const found = own.get(name) ?? platformDecoder(name) ?? platformDecoder(platformName(name))
  if (found !== undefined) known.set(name, found)
  else {
    if (unknown.size === unknownMax) unknown.clear()
    unknown.add(name)
  }
  return found
}

function platformDecoder(name: string | undefined): Decode | undefined {
  if (name === undefined) return undefined
  try {
    const decoder = new TextDecoder(name)
    return (bytes) => decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Names seen in mail → names in the WHATWG's list. */
const renamed: readonly (readonly [written: RegExp, name: string])[] = [
  [/^(?:x-)?(?:win|windows|cp|ms|ansi)[-_]?(125[0-8]|874)$/, 'windows-$1'],
  [/^(?:x-)?(?:iso[-_]?)?8859[-_](\d{1,2})(?:-[ie])?$/, 'iso-8859-$1'],
  [/^iso[-_]?8859[-_]?(\d{1,2})$/, 'iso-8859-$1'],
  [/^latin[-_](\d{1,2})$/, 'latin$1'],
  [/^(?:x-)?(?:cp|ms|windows)[-_]?936$|^(?:x-)?euc-?(?:cn|gb2312)$/, 'gbk'],
  [/^(?:x-)?(?:cp|ms|windows)[-_]?949$|^uhc$/, 'euc-kr'],
  [/^(?:x-)?(?:cp|ms|windows)[-_]?950$|^big5[-_]?(?:hkscs|eten|2003)?$/, 'big5'],
  [/^(?:x-)?(?:cp|ms|windows)[-_]?(?:932|31j)$|^(?:x-)?s(?:hift)?[-_]?jis(?:[-_]?2004)?$/, 'shift_jis'],
  [/^iso-2022-jp(?:-[1-3]|-2004|-ms|-ext)?$|^(?:x-)?(?:cp|windows-)5022[0-2]$/, 'iso-2022-jp'],
  [/^(?:x-)?euc[-_]?jp|^ujis$/, 'euc-jp'],
  [/^tis-?620(?:-0|-2533)?$/, 'windows-874'],
  [/^koi8[-_]?([ru])$/, 'koi8-$1'],
  [/^(?:x-)?mac[-_]?roman$/, 'macintosh'],
  [/^(?:x-)?(?:cp|ibm)[-_]?866$/, 'ibm866'],
  [/^utf[-_]?8(?:n|-n|mb4)?$|^unicode-2-0-utf-8$/, 'utf-8'],
]

function platformName(name: string): string | undefined {
  const entry = renamed.find(([written]) => written.test(name))
  if (entry === undefined) return undefined
  const found = entry[0].exec(name)!
  return entry[1].replace('$1', found[1] ?? '')
}

// Upper halves of the code pages of DOS.
const codePages = {
  cp437:
    'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0',
  cp850:
    'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0',
  cp852:
    'ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐└┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u00ad˝˛ˇ˘§÷¸°¨˙űŘř■\u00a0',
} as const

const codePage =
  (upper: string): Decode =>
  (bytes) => {
    let text = ''
    for (const octet of bytes) text += octet < 0x80 ? String.fromCharCode(octet) : upper[octet - 0x80]!
    return text
  }

const littleEndian = new TextDecoder('utf-16le')
const bigEndian = new TextDecoder('utf-16be')

/** RFC 2781 §4.3 wants big-endian without a mark, senders mean either: Western and line-breaking text shows which. */
function decodeUtf16(bytes: Uint8Array): string {
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return bigEndian.decode(bytes)
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return littleEndian.decode(bytes)
  const zeros = [0, 0]
  for (let at = 0; at < Math.min(bytes.length, 4096); at += 1) if (bytes[at] === 0) zeros[at & 1]! += 1
  return zeros[0]! >= zeros[1]! ? bigEndian.decode(bytes) : littleEndian.decode(bytes)
}

function decodeUtf32(bytes: Uint8Array, isLittle?: boolean): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const little = isLittle ?? (bytes.length >= 4 && view.getUint32(0, true) === 0xfeff)
  let text = ''
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const point = view.getUint32(at, little)
    if (at === 0 && point === 0xfeff) continue
    text += point <= 0x10_ffff && (point & 0xffff_f800) !== 0xd800 ? String.fromCodePoint(point) : '\ufffd'
  }
  return text
}

/** RFC 2152: `+` … `-` around base64 of UTF-16. */
const decodeUtf7: Decode = (bytes) =>
  toLatin1(bytes).replaceAll(/\+([A-Za-z\d+/]*)-?/g, (written, base64: string) => {
    if (base64 === '') return written === '+-' ? '+' : written
    const octets = Buffer.from(base64, 'base64')
    return bigEndian.decode(octets.subarray(0, octets.length - (octets.length % 2)))
  })

const gbk = new TextDecoder('gbk')
const eucKr = new TextDecoder('euc-kr')

/** Pairs of octets of seven bits, in the form that has their high bits set. */
const raised = (pairs: string): Uint8Array =>
  Buffer.from(pairs, 'latin1').map((octet) => (octet > 0x20 ? octet | 0x80 : octet))

/** RFC 1843: `~{` … `~}` around Chinese, `~~` for a tilde, `~` at the end of a line for nothing. */
const decodeHz: Decode = (bytes) => {
  const written = toLatin1(bytes)
  let text = ''
  let at = 0
  while (at < written.length) {
    const tilde = written.indexOf('~', at)
    text += written.slice(at, tilde < 0 ? written.length : tilde)
    if (tilde < 0) break
    at = tilde + 2
    const kind = written[tilde + 1]
    if (kind === '{') {
      const end = written.indexOf('~}', at)
      text += gbk.decode(raised(written.slice(at, end < 0 ? written.length : end)))
      at = end < 0 ? written.length : end + 2
    } else if (kind === '~') text += '~'
    else if (kind !== '\n') text += written.slice(tilde, at)
  }
  return text
}

/** RFC 1557: Korean between SO and SI, after a designation that says so. */
const decodeIso2022Kr: Decode = (bytes) =>
  toLatin1(bytes).replaceAll(/\u001b\$\)C|\u000e([^\u000f]*)\u000f?/g, (_, pairs: string | undefined) =>
    pairs === undefined ? '' : eucKr.decode(raised(pairs)),
  )

const own: ReadonlyMap<string, Decode> = new Map(
  (
    [
      ['utf-16 utf16 utf_16 ucs-2 ucs2 unicode iso-10646-ucs-2', decodeUtf16],
      ['utf-32 utf32 utf_32 ucs-4', (bytes) => decodeUtf32(bytes)],
      ['utf-32le utf32le', (bytes) => decodeUtf32(bytes, true)],
      ['utf-32be utf32be', (bytes) => decodeUtf32(bytes, false)],
      ['utf-7 utf7 utf_7 unicode-1-1-utf-7 x-unicode-2-0-utf-7', decodeUtf7],
      ['hz-gb-2312 hz', decodeHz],
      ['iso-2022-kr iso2022-kr iso2022kr', decodeIso2022Kr],
      ['cp437 ibm437 cp-437', codePage(codePages.cp437)],
      ['cp850 ibm850 cp-850', codePage(codePages.cp850)],
      ['cp858 ibm858', codePage(codePages.cp850.replace('ı', '€'))],
      ['cp852 ibm852 cp-852', codePage(codePages.cp852)],
    ] satisfies [string, Decode][]
  ).flatMap(([names, decode]) => names.split(' ').map((name) => [name, decode] as const)),
)

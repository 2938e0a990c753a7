import { expect, test } from 'vitest'
import { decoderOf } from '../../../src/core/message/charsets.ts'
import { decodeCharset, decodeWords, isKnownCharset } from '../../../src/core/message/mime-words.ts'

/** Made with the codecs of Python 3. */
const samples: readonly (readonly [charset: string, text: string, octets: string])[] = [
  ['iso-8859-1', 'Käse für Jürgen', '4be473652066fc72204afc7267656e'],
  ['ISO-8859-2', 'Žluťoučký kůň', 'ae6c75bb6f75e86bfd206bf9f2'],
  ['iso_8859-15', '10 € für Œuvre', '313020a42066fc7220bc75767265'],
  ['iso-8859-16', 'Ștefan și țară', 'aa746566616e20ba6920fe6172e3'],
  ['windows-1250', 'Žluťoučký kůň', '8e6c759d6f75e86bfd206bf9f2'],
  ['cp1251', 'Привет, мир', 'cff0e8e2e5f22c20ece8f0'],
  ['win-1251', 'Привет, мир', 'cff0e8e2e5f22c20ece8f0'],
  ['windows-1252', '“10 €” – ok', '9331302080942096206f6b'],
  ['windows1253', 'Καλημέρα', 'cae1ebe7ecddf1e1'],
  ['windows-1255', 'שלום', 'f9ece5ed'],
  ['windows-1256', 'مرحبا', 'e3d1cdc8c7'],
  ['koi8-r', 'Привет, мир', 'f0d2c9d7c5d42c20cdc9d2'],
  ['KOI8-U', 'Їжак і ґава', 'b7d6c1cb20a620adc1d7c1'],
  ['ibm866', 'Привет', '8fe0a8a2a5e2'],
  ['gb2312', '你好，世界', 'c4e3bac3a3accac0bde7'],
  ['gbk', '你好，世界', 'c4e3bac3a3accac0bde7'],
  ['cp936', '你好，世界', 'c4e3bac3a3accac0bde7'],
  ['gb18030', '你好 𠮷', 'c4e3bac3209534b235'],
  ['hz-gb-2312', '你好 ~ world', '7e7b44633a437e7d207e7e20776f726c64'],
  ['big5', '你好，世界', 'a741a66ea141a540acc9'],
  ['cp950', '你好，世界', 'a741a66ea141a540acc9'],
  ['shift_jis', 'こんにちは', '82b182f182c982bf82cd'],
  ['cp932', 'こんにちは', '82b182f182c982bf82cd'],
  ['euc-jp', 'こんにちは', 'a4b3a4f3a4cba4c1a4cf'],
  ['iso-2022-jp', 'こんにちは abc', '1b244224332473244b2441244f1b284220616263'],
  ['iso-2022-jp-ms', 'こんにちは abc', '1b244224332473244b2441244f1b284220616263'],
  ['euc-kr', '안녕하세요', 'bec8b3e7c7cfbcbcbfe4'],
  ['ks_c_5601-1987', '안녕하세요', 'bec8b3e7c7cfbcbcbfe4'],
  ['cp949', '안녕하세요', 'bec8b3e7c7cfbcbcbfe4'],
  ['iso-2022-kr', '안녕 hello', '1b2429430e3e4833670f2068656c6c6f'],
  ['tis-620', 'สวัสดี', 'cac7d1cab4d5'],
  ['utf-8', 'Käse', '4bc3a47365'],
  ['utf-16', 'Käse', 'fffe4b00e40073006500'],
  ['UTF-16BE', 'Käse', '004b00e400730065'],
  ['utf-16le', 'Käse', '4b00e40073006500'],
  ['utf-32', 'Käse 𠮷', 'fffe00004b000000e4000000730000006500000020000000b70b0200'],
  ['utf-7', 'Käse + 10 € 𠮷', '4b2b414f512d7365202b2d203130202b494b77202b32454c6674772d'],
  ['unicode-1-1-utf-7', '日本語', '2b5a65566e4c4971652d'],
  ['cp437', 'Käse ½', '4b84736520ab'],
  ['ibm850', 'Käse ½', '4b84736520ab'],
  ['cp852', 'Žluťoučký', 'a66c759c6f759f6bec'],
  ['macintosh', 'Käse', '4b8a7365'],
]

test.each(samples)('%s', (charset, text, octets) => {
  expect(decodeCharset(Buffer.from(octets, 'hex'), charset)).toBe(text)
})

test('a charset has many spellings', () => {
  const spellings =
    'UTF8 utf_8 "utf-8" Latin-1 iso8859_1 8859-1 x-sjis windows-31j MS932 eucJP x-euc-jp uhc MS936 x-mac-roman koi8_r cp1252 big5-hkscs'
  expect(spellings.split(' ').filter((spelling) => !isKnownCharset(spelling))).toEqual([])
  expect(['x-unknown', '', 'constructor', '__proto__', 'a'.repeat(1000)].filter(isKnownCharset)).toEqual([])
})

test('UTF-16 without a mark is read in the order that makes a text of it', () => {
  expect(decodeCharset(Buffer.from('Käse', 'utf16le'), 'utf-16')).toBe('Käse')
  expect(decodeCharset(Buffer.from('Käse', 'utf16le').swap16(), 'utf-16')).toBe('Käse')
})

test('broken text is read as far as it goes, in every charset', () => {
  const broken = Buffer.from('1b24420e7e7b7e7e2b412d2b4141ff00d8fffe2b', 'hex')
  for (const [charset] of samples) expect(typeof decodeCharset(broken, charset)).toBe('string')
  for (const [charset] of samples) expect(decodeCharset(new Uint8Array(), charset)).toBe('')
})

test('hostile text takes no more than its share of time', () => {
  const hostile = Buffer.alloc(2_000_000, '~{+-\u000e')
  for (const charset of ['hz-gb-2312', 'iso-2022-kr', 'utf-7'])
    expect(decoderOf(charset)!(hostile).length).toBeGreaterThan(0)
})

test('an encoded word may name any of them', () => {
  expect(decodeWords('=?UTF-7?Q?+AOQ-?= =?cp1251?B?z/Do4uXy?=')).toBe('äПривет')
})

test('a sender who makes names up does not slow down the others', () => {
  for (let index = 0; index < 2000; index += 1) expect(decoderOf(`made-up-${index}`)).toBeUndefined()
  expect(decoderOf('koi8-r')).toBe(decoderOf(' "KOI8-R"; '.slice(0, -1)))
})

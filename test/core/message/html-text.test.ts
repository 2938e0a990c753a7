import { expect, test } from 'vitest'
import { charsetOfHtml, textOfHtml } from '../../../src/core/message/html-text.ts'

test.each([
  ['<p>Hello <b>w</b>orld</p>', 'Hello world'],
  ['one<br>two<div>three</div>four', 'one two three four'],
  ['<table><tr><td>a</td><td>b</td></tr></table>', 'a b'],
  ['a\r\n   b&nbsp;c', 'a b c'],
  ['K&auml;se &amp; Br&ouml;t &#8364; &#x20AC; &#150; &hellip; &Auml;', 'Käse & Bröt € € – … Ä'],
  ['&unknown; &amp &#0; &#xd800; &#99999999;', '&unknown; & \ufffd \ufffd \ufffd'],
  ['in&shy;visi\u200bble', 'invisible'],
  ['<style>p > a { }</style>x<SCRIPT>if (a < b) y</script >z', 'x z'],
  ['<head><title>no</title><meta name=x></head>yes', 'yes'],
  ['a<!-- > not this -->b', 'ab'],
  ['1 < 2 and 3 > 2', '1 < 2 and 3 > 2'],
  ['<p>unclosed <b', 'unclosed'],
  ['<style>never closed', ''],
  ['<!-- never closed', ''],
])('%s', (html, text) => {
  expect(textOfHtml(html)).toBe(text)
})

test('megabytes of marks that nothing closes take no time to speak of', () => {
  for (const mark of ['<', '<!--', '<style>', '</style', '&', '&#', '<a '])
    expect(typeof textOfHtml(mark.repeat(500_000))).toBe('string')
})

test('a text may name its charset', () => {
  expect(charsetOfHtml(Buffer.from('<html><META http-equiv="x" content="text/html; charset=koi8-r">'))).toBe('koi8-r')
  expect(charsetOfHtml(Buffer.from(`<meta charset = 'utf-8'>`))).toBe('utf-8')
  expect(charsetOfHtml(Buffer.from('<p>charset=none'))).toBeUndefined()
})

/** HTML of others, written anew: only what may stand in it, every element closed, whatever comes in. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { textOfHtml } from '../../../src/core/message/html-text.ts'
import { safeHtml } from '../../../src/core/message/safe-html.ts'

test('formatting and links stay; scripts, styles, pictures, attributes and what Matrix repeats go', () => {
  expect(
    safeHtml(
      '<mx-reply><blockquote>before</blockquote></mx-reply><p style="x" onclick="y">Hi <b>you</B>, see ' +
        '<a href="https://example.org/?a=1&amp;b=2" onmouseover="z">this</a><script>alert(1)</script>' +
        '<style>p{}</style><img src="https://example.org/pixel.png"><br/></p>',
    ),
  ).toBe('<p>Hi <b>you</b>, see <a href="https://example.org/?a=1&amp;b=2">this</a><br></p>')
})

test('a link leads to the web or to a person, never to a script or a file', () => {
  const links = ['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'java\nscript:alert(1)', '//x', 'x']
  for (const link of links) expect(safeHtml(`<a href="${link}">go</a>`)).toBe('go')
  for (const link of ['mailto:a@b.example', 'xmpp:a@b.example', 'HTTPS://x.example'])
    expect(safeHtml(`<a href='${link}'>go</a>`)).toBe(`<a href="${link}">go</a>`)
  expect(safeHtml('<a href="https://x/&quot;onclick=&quot;y">go</a>')).toBe(
    '<a href="https://x/&quot;onclick=&quot;y">go</a>',
  )
})

const pieces = fc.constantFrom(
  '<',
  '>',
  '</',
  '<b>',
  '</b>',
  '<a href="',
  '"',
  "'",
  'https://x',
  '<script',
  '</script>',
  '<!--',
  '-->',
  '&lt;',

  '<p',
  ' onload=',
  '<div>',
  '</div>',
  '</body></html>',
  '<svg/onload=x>',
  '\0',
  '\ud800',
  'words',
  ' ',
  '=',
  '<ul><li>',
)

test('whatever comes in, nothing but kept elements without attributes comes out, and all of them are closed', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 40 }), (all) => {
      const safe = safeHtml(all.join(''))
      const open: string[] = []
      const rest = safe.replaceAll(
        /<(\/?)([a-z\d]+)((?: href="[^"<>]*")?)>/g,
        (_, slash: string, name: string, link) => {
          expect(link === '' || name === 'a').toBe(true)
          if (slash === '/') expect(open.pop()).toBe(name)
          else if (name !== 'br' && name !== 'hr') open.push(name)
          return ''
        },
      )
      expect(rest).not.toMatch(/[<>\0]/)
      expect(open).toEqual([])
      expect(safeHtml(safe)).toBe(safe)
    }),
    { numRuns: 500 },
  )
})

test('words that hold no markup stay as they are', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const written = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
      expect(textOfHtml(safeHtml(written))).toBe(textOfHtml(written))
    }),
  )
})

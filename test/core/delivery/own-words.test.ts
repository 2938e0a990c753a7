/** What a person wrote in an answer, and nothing less. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Answered, ownHtml, ownWords } from '../../../src/core/delivery/chat-mail/own-words.ts'

const answered: Answered = { words: 'shall we meet?\nat six, at the lake', names: ['Bob', 'bob@b.example'] }
const quote = (text: string) => text.split('\n').map((line) => `> ${line}`)

test('a quotation of the whole goes, above or below, wrapped or not, with the line that names its author', () => {
  const said = 'On Tue, 1 Dec 2026, Bob\n<bob@b.example> wrote:'
  const quoted = quote(answered.words)
  const wrapped = ['> shall we', '> meet? at six,', '> at the lake', '> -- ', '> Edited just now']
  for (const one of [quoted, wrapped]) {
    expect(ownWords(['Yes.', '', 'Bring tea.', '', said, ...one, ''].join('\n'), answered)).toBe('Yes.\n\nBring tea.')
    expect(ownWords([said, ...one, '', 'Yes.', ''].join('\r\n'), answered)).toBe('Yes.')
    expect(ownWords(['Bob schrieb:', '', ...one, 'Yes.'].join('\n'), answered)).toBe('Yes.')
    expect(ownWords([...one, 'Yes.'].join('\n'), answered)).toBe('Yes.')
  }
})

test('what is cut through, changed, from elsewhere or all that there is, stays', () => {
  const kept = [
    '> shall we meet?\nyes\n> at six, at the lake\nat seven',
    'fine\n> shall we meet?',
    'fine\n> shall we meat?\n> at six, at the lake',
    'I object to this:\n> I like it',
    '> shall we meet?\n> at six, at the lake',
  ]
  for (const text of kept) expect(ownWords(text, answered)).toBe(text)
  expect(
    ownWords('Bob, I mean this:\n> shall we meet?\n> at six, at the lake', { ...answered, names: ['Carol'] }),
  ).toBe('Bob, I mean this:')
  expect(ownWords('> anything', undefined)).toBe('> anything')
})

test('a short signature goes; a line that only looks like one, or more than a signature, stays', () => {
  expect(ownWords('Yes.\n\n-- \nAlice\nHill 1\n', undefined)).toBe('Yes.')
  expect(ownWords(`Yes.\n-- \nAlice\n\nBob wrote:\n${quote(answered.words).join('\n')}`, answered)).toBe('Yes.')
  for (const text of ['Yes.\n--\nAlice', `Yes.\n-- \n${'line\n'.repeat(20).trim()}`, '-- \nAlice'])
    expect(ownWords(text, undefined)).toBe(text)
})

const words = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => text.replaceAll(/[\s>\p{Cc}]+/gu, 'x'))
const text = fc.array(words, { minLength: 1, maxLength: 8 }).map((all) => all.join('\n'))

test('whatever is said and answered, the quotation goes and every other word stays', () => {
  fc.assert(
    fc.property(text, text, words, (said, before, name) => {
      const about: Answered = { words: before, names: [name] }
      const quoted = quote(before).join('\n')
      expect(ownWords(`${said}\n\n${name}:\n${quoted}\n`, about)).toBe(said)
      expect(ownWords(`${name}:\n${quoted}\n\n${said}`, about)).toBe(said)
      expect(ownWords(said, about)).toBe(said)
      const changed = `${said}\n\n${name}:\n${quoted}more`
      expect(ownWords(changed, about)).toBe(changed)
    }),
  )
})

test('in HTML the one quotation goes with what names its author, and stays where it is anything else', () => {
  const cite = '<div class="moz-cite-prefix">On 1 Dec, Bob wrote:<br></div><blockquote type="cite">'
  const whole = `${cite}<p>shall we meet?</p> at six, <b>at the lake</b></blockquote>`
  expect(ownHtml(`<p>Yes.</p>${whole}`, answered)).toBe('<p>Yes.</p>')
  expect(ownHtml(`${whole}<p>Yes.</p>`, answered)).toBe('<p>Yes.</p>')
  for (const html of [`<p>Yes.</p>${cite}shall we?</blockquote>`, whole, '<p>Yes.</p>', '</blockquote><blockquote>'])
    expect(ownHtml(html, answered)).toBe(html)
})

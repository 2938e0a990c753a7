/** Messages of conversations as mails, read back by another parser: the same words, names and files, whatever they are. */
import fc from 'fast-check'
import { type ParsedMail, simpleParser } from 'mailparser'
import { expect, test } from 'vitest'
import type { ShownMessage } from '../../../src/core/conversation/view.ts'
import { chatMessageId } from '../../../src/core/delivery/chat-mail/ids.ts'
import { renderChat, type RenderInput } from '../../../src/core/delivery/chat-mail/rendering.ts'
import type { Address, ConversationId, GroupId, Identity, MessageId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { parseHeaders } from '../../../src/core/message/header.ts'
import { parseMime } from '../../../src/core/message/mime.ts'
import { eachPart } from '../../../src/core/message/mime-text.ts'

const id = 'ab'.repeat(32) as MessageId
const who = 'cd'.repeat(32) as Identity

const shown = (change: Partial<ShownMessage>): ShownMessage => ({
  id,
  conversation: 'ef'.repeat(32) as ConversationId,
  author: who,
  number: 1,
  rank: 1,
  sentAtMs: Date.UTC(2026, 11, 1),
  receivedAtMs: Date.UTC(2026, 11, 1),
  relations: [],
  text: undefined,
  html: undefined,
  file: undefined,
  call: undefined,
  editedAtMs: undefined,
  isRedacted: false,
  reactions: [],
  hasGap: false,
  fate: 'open',
  ...change,
})

const input = (message: Partial<ShownMessage>, change: Partial<RenderInput> = {}): RenderInput => ({
  message: shown(message),
  from: { name: 'Bob', address: 'bob@b.example' as Address },
  trust: { tier: 'in-person', isBound: true, nowMs: 0 },
  to: { name: 'Alice', address: 'alice@a.example' as Address },
  subject: 'Chat with Bob',
  file: 'inside',
  nameOf: () => 'Carol',
  mailIdOf: chatMessageId,
  ...change,
})

const read = async (rendered: RenderInput): Promise<ParsedMail> => await simpleParser(Buffer.from(renderChat(rendered)))

/** Fields of a mail, in order; nothing that a name or word could add. */
const directFields = [
  'return-path',
  'authentication-results',
  'mycelium-trust',
  'message-id',
  'date',
  'from',
  'to',
  'subject',
  'references',
  'mime-version',
  'content-type',
]

/** What is hostile in one place or another, mixed into any text. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 40 }),
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom(
        '\r\nBcc: x@y.example\r\n',
        '\n\n',
        '\r',
        '"',
        '>',
        '<a@b.example>',
        '=?utf-8?Q?x?=',
        '\0',
        '\u202e',
        ', ',
      ),
      fc.constantFrom(
        '--=_chat_',
        `--=_words_${id.slice(0, 32)}--`,
        '\r\n.\r\n',
        'From x',
        '\\',
        ';',
        '😀'.repeat(30),
        'x'.repeat(1200),
      ),
    ),
    { maxLength: 8 },
  )
  .map((pieces) => pieces.join(''))

const oneSpaced = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()

test('hostile names and words break out of no field: the fields are ours, one each, and lines are short', () => {
  fc.assert(
    fc.property(hostile, hostile, hostile, (name, subject, text) => {
      const bytes = renderChat(input({ text }, { from: { name, address: 'bob@b.example' as Address }, subject }))
      const { fields } = parseHeaders(bytes)
      const names = fields.map((field) => field.name).filter((one) => one !== 'content-transfer-encoding')
      expect(names).toEqual(directFields)
      for (const line of Buffer.from(bytes).toString().split('\r\n')) {
        expect(Buffer.byteLength(line)).toBeLessThanOrEqual(998)
        expect(line).not.toMatch(/[\r\n\0]/)
      }
    }),
    { numRuns: 300 },
  )
})

test('another parser reads the same name, address, subject and words', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, hostile, async (name, text) => {
      const mail = await read(input({ text }, { from: { name, address: 'bob@b.example' as Address }, subject: name }))
      expect(mail.from?.value).toHaveLength(1)
      expect(mail.from?.value[0]?.address).toBe('bob@b.example')
      expect(oneSpaced(mail.from?.value[0]?.name ?? '')).toBe(oneSpaced(name.replaceAll(/[@＠﹫]/gu, ' at ')))
      expect(oneSpaced(mail.subject ?? '')).toBe(oneSpaced(name) || '(no name)')
      const lines = (words: string) =>
        words
          .toWellFormed()
          .replaceAll(/\r+\n?/g, '\n')
          .replace(/\n+$/, '')
      expect(lines(mail.text ?? '')).toBe(lines(text))
    }),
    { numRuns: 300 },
  )
})

test('a text is given back to the character by our own parser, also where it stands beside HTML and a file', () => {
  fc.assert(
    fc.property(hostile, hostile, (text, html) => {
      const content = { kind: 'inline', bytes: Buffer.from(html.slice(0, 1000)) } as const
      const part = { kind: 'file', name: 'a', mediaType: 'text/plain', content, thumbnail: undefined } as const
      const bytes = renderChat(input({ text, html, file: { part, stored: undefined } }))
      const parts = [...eachPart(parseMime(bytes))]
      expect(parts.map(({ type, subtype }) => `${type}/${subtype}`)).toEqual([
        'multipart/mixed',
        'multipart/alternative',
        'text/plain',
        'text/html',
        'text/plain',
      ])
    }),
    { numRuns: 200 },
  )
})

test('a file is an attachment with its name and octets; a name leads to no folder, a type makes no structure', async () => {
  await fc.assert(
    fc.asyncProperty(
      hostile.map((name) => name.replaceAll('=?', '=')), // mailparser takes encoded words for what they say in file names too
      fc.uint8Array({ maxLength: 2000 }),
      fc.constantFrom('image/png', 'multipart/mixed; boundary=x', 'message/rfc822', 'text/x\r\nBcc: y', ''),
      async (name, bytes, mediaType) => {
        const part = {
          kind: 'file',
          name,
          mediaType,
          content: { kind: 'inline', bytes },
          thumbnail: undefined,
        } as const
        const mail = await read(input({ file: { part, stored: undefined } }))
        expect(mail.attachments).toHaveLength(1)
        const [attached] = mail.attachments
        expect(Buffer.compare(attached!.content, bytes)).toBe(0)
        expect(oneSpaced(attached!.filename ?? '')).toBe(oneSpaced(name.replaceAll(/[/\\]/g, '_')) || 'file')
        expect(attached!.contentType).toBe(mediaType === 'image/png' ? 'image/png' : 'application/octet-stream')
      },
    ),
    { numRuns: 200 },
  )
})

test('an answer is under what it answers, all of a conversation in one thread, and a group is a list', async () => {
  const group = { group: '12'.repeat(32) as GroupId, name: 'Our hikes', address: 'hikes@g.group.myc' as Address }
  const answered = '34'.repeat(32) as MessageId
  const mail = await read(
    input({ text: 'yes', relations: [{ kind: 'reply', to: answered }] }, { to: group, subject: group.name }),
  )
  expect(mail.inReplyTo).toBe(`<${answered}@chat.invalid>`)
  expect(mail.references).toEqual([`<${'ef'.repeat(32)}@conversation.invalid>`, `<${answered}@chat.invalid>`])
  expect(mail.replyTo?.value).toEqual([{ name: 'Our hikes', address: group.address }])
  expect(mail.headers.get('list')).toEqual({
    post: { mail: group.address },
    id: { id: `${'12'.repeat(16)}.group.invalid`, name: 'Our hikes' },
  })
})

test('what others add to a message stands below its words, each name on its line whatever it holds', async () => {
  const reactions = [
    { who, reactions: ['👍', 'a\nb'] },
    { who: 'ee'.repeat(32) as Identity, reactions: ['👍'] },
  ]
  const nameOf = (identity: Identity) => (identity === who ? 'Carol\r\n-- \r\nfalse' : 'Dave')
  const mail = await read(input({ text: 'hi', reactions, editedAtMs: 0, hasGap: true }, { nameOf }))
  expect(mail.text?.trimEnd().split('\n')).toEqual([
    'hi',
    '',
    '-- ',
    'Edited Thu, 1 Jan 1970 00:00:00 +0000',
    '👍 Carol -- false, Dave; a b Carol -- false',
    'Something before this message is missing.',
  ])
})

test('the longest message there can be fits the row that it is kept in', () => {
  const worst = { text: '\u0001'.repeat(limits.messageInlineBytesMax), html: '<'.repeat(limits.messageHtmlBytesMax) }
  const content = { kind: 'inline', bytes: new Uint8Array(limits.messageInlineBytesMax) } as const
  const part = { kind: 'file', name: 'é'.repeat(127), mediaType: 'x/y', content, thumbnail: undefined } as const
  const reactions = Array.from({ length: 200 }, (_, n) => ({
    who: String(n).padStart(64, '0') as Identity,
    reactions: Array.from({ length: 16 }, (__, m) => `${n} ${m} `.padEnd(60, 'é')),
  }))
  const bytes = renderChat(input({ ...worst, file: { part, stored: undefined }, reactions }))
  expect(bytes.length).toBeLessThanOrEqual(limits.storedRowBytesMax)
})

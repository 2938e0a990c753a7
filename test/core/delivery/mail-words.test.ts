/** From a chat to a mail and back, and from mails of all kinds to what a chat can hold. */
import fc from 'fast-check'
import MailComposer from 'nodemailer/lib/mail-composer/index.js'
import { expect, test } from 'vitest'
import { wordsOfMail } from '../../../src/core/delivery/chat-mail/mail-words.ts'
import { chatMessageId } from '../../../src/core/delivery/chat-mail/ids.ts'
import { renderChat } from '../../../src/core/delivery/chat-mail/rendering.ts'
import type { Address, ConversationId, Identity, MessageId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'

const lines = (text: string) => text.toWellFormed().replaceAll('\r\n', '\n').replace(/\n+$/, '')
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\n', '\r\n', '--', ' ', '=', '.'),
    ),
  )
  .map((all) => all.join(''))

test('a chat that was made a mail says the same when it is made a chat again', () => {
  fc.assert(
    fc.property(anyText, fc.boolean(), fc.option(fc.uint8Array({ maxLength: 300 })), (text, hasHtml, bytes) => {
      const content = { kind: 'inline', bytes: bytes ?? new Uint8Array() } as const
      const part = { kind: 'file', name: 'a b.bin', mediaType: 'image/png', content, thumbnail: undefined } as const
      const mail = renderChat({
        message: {
          id: 'ab'.repeat(32) as MessageId,
          conversation: 'ef'.repeat(32) as ConversationId,
          author: 'cd'.repeat(32) as Identity,
          number: 1,
          rank: 1,
          sentAtMs: 0,
          receivedAtMs: 0,
          relations: [],
          text,
          html: hasHtml ? '<p>some <b>words</b></p>' : undefined,
          file: bytes === null ? undefined : { part, stored: undefined },
          call: undefined,
          editedAtMs: undefined,
          isRedacted: false,
          reactions: [],
          hasGap: false,
          fate: 'open',
        },
        from: { name: 'Bob', address: 'bob@b.example' as Address },
        trust: undefined,
        to: { name: 'Alice', address: 'alice@a.example' as Address },
        subject: 'Chat with Bob',
        file: 'inside',
        nameOf: () => '',
        mailIdOf: chatMessageId,
      })
      const again = wordsOfMail(mail)
      expect(lines(again!.text)).toBe(lines(text))
      expect(again!.html?.includes('<p>some <b>words</b></p>') ?? false).toBe(hasHtml)
      expect(again!.files.map((file) => ({ ...file, bytes: [...file.bytes] }))).toEqual(
        bytes === null ? [] : [{ name: 'a b.bin', mediaType: 'image/png', bytes: [...bytes] }],
      )
    }),
    { numRuns: 300 },
  )
})

const compose = async (mail: ConstructorParameters<typeof MailComposer>[0]): Promise<Uint8Array> =>
  await new MailComposer(mail).compile().build()

test('what another program composes gives its words, HTML and files', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'grapheme' }).map((text) => `x${text.replaceAll(/\p{Cc}/gu, '')}`),
      fc.constantFrom(undefined, '<p>x</p>'),
      fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 3 }),
      async (text, html, contents) => {
        const attachments = contents.map((content, index) => ({
          filename: `grüße ${index}.bin`,
          content: Buffer.from(content),
        }))
        const words = wordsOfMail(
          await compose({ from: 'a@b.example', text, attachments, ...(html === undefined ? {} : { html }) }),
        )
        expect(words?.text.trimEnd()).toBe(text.trimEnd())
        expect(words?.html?.trim()).toBe(html)
        expect(words?.files.map(({ name, bytes }) => ({ name, bytes: [...bytes] }))).toEqual(
          contents.map((bytes, index) => ({ name: `grüße ${index}.bin`, bytes: [...bytes] })),
        )
      },
    ),
    { numRuns: 100 },
  )
})

test('HTML alone is told in lines; pictures inside HTML, and too many files, are no chat', async () => {
  const from = 'a@b.example'
  const html = '<html><head><style>p{}</style></head><body><p>One<br>two</p><div>three &amp; four</div></body></html>'
  expect(wordsOfMail(await compose({ from, html }))?.text).toBe('One\ntwo\nthree & four')
  const content = Buffer.from('x')
  expect(wordsOfMail(await compose({ from, html, attachments: [{ content, cid: 'a@b' }] }))).toBeUndefined()
  const many = Array.from({ length: limits.chatFilesOfMailMax + 1 }, () => ({ content, filename: 'a' }))
  expect(wordsOfMail(await compose({ from, text: 'x', attachments: many }))).toBeUndefined()
})

test('nothing that is no mail at all makes it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
      wordsOfMail(bytes)
    }),
  )
})

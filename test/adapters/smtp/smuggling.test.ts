import { expect, test } from 'vitest'
import { Client } from './client.ts'
import { openTestServer, plainLogin } from './server.ts'

const variants = [
  '\n.\n',
  '\n.\r\n',
  '\r.\r',
  '\r.\r\n',
  '\r\n.\n',
  '\r\n.\r',
  '\r.\n',
  '\r\n\0.\r\n',
  '\r\n.\0\r\n',
  '\r\r\n.\r\r\n',
]

test('a message inside a message is refused with the message, never taken for one', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.reply()
  await client.say('EHLO x')
  await client.say(`AUTH PLAIN ${plainLogin}`)
  for (const variant of variants) {
    await client.say('MAIL FROM:<alice@home.myc>')
    await client.say('RCPT TO:<bob@far.myc>')
    expect(await client.say('DATA')).toMatch(/^354/)
    client.write(
      `Subject: a\r\n\r\nb${variant}MAIL FROM:<alice@home.myc>\r\nRCPT TO:<bob@far.myc>\r\nDATA\r\nc\r\n.\r\n`,
    )
    expect(await client.reply()).toMatch(/^550 5\.6\.0/)
    expect(await client.say('NOOP')).toBe('250 2.0.0 OK')
  }
  expect(server.submitter.stored).toEqual([])
})

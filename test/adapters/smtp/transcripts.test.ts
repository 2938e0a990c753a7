/**
 * Plays test/transcripts/smtp against a real server. `C:` a line from the client, `S:` one from the server (`*` at its
 * end stands for any rest), `JSON:` raw characters from the client, `TLS` a handshake, `CLOSED` the server hung up, `STORED n` that many
 * messages were accepted, `TEXT` what the last of them says (escaped as in JSON), `#` a remark.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Client } from './client.ts'
import { openTestServer, plainLogin } from './server.ts'

const folder = new URL('../../transcripts/smtp/', import.meta.url)

for (const name of readdirSync(folder)) {
  test(name.replace('.txt', '').replaceAll('-', ' '), async () => {
    await using server = await openTestServer({ messageBytesMax: 4096 })
    await using client = await Client.connect(server.port)
    const script = readFileSync(new URL(name, folder), 'utf8').split('\n')
    for (const [index, line] of script.entries()) {
      const at = `${name}:${index + 1}`
      if (line === '' || line.startsWith('#')) continue
      else if (line.startsWith('C: ')) client.write(`${utf8(line.slice(3)).replaceAll('{login}', plainLogin)}\r\n`)
      else if (line === 'C:') client.write('\r\n')
      else if (line.startsWith('JSON: ')) client.write(JSON.parse(line.slice(6)) as string)
      else if (line === 'TLS') await client.startTls(server.cert)
      else if (line === 'CLOSED') expect(await client.line(), at).toBeUndefined()
      else if (line.startsWith('STORED ')) expect(server.submitter.stored.length, at).toBe(Number(line.slice(7)))
      else if (line.startsWith('TEXT '))
        expect(server.submitter.stored.at(-1)?.text, at).toBe(JSON.parse(`"${line.slice(5)}"`))
      else if (line.startsWith('S: ')) {
        const wanted = line.slice(3)
        const got = (await client.line()) ?? '(closed)'
        if (wanted.endsWith('*')) expect(got.slice(0, wanted.length - 1), at).toBe(wanted.slice(0, -1))
        else expect(got, at).toBe(wanted)
      } else throw new SyntaxError(at)
    }
  })
}

/** The client speaks latin1 characters: UTF-8 text becomes one character per octet. */
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

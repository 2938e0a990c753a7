/**
 * Plays test/transcripts/imap against a real server. `C:` a line from the client, `S:` one from the server (`*` at its
 * end stands for any rest), `S..:` lines up to and including this one, `JSON:` raw characters from the client,
 * `two: C:` the same for another connection. Connections are logged in, unless the script begins with `GUEST`.
 * `MAIL mailbox "message"` delivers, `TLS` makes a handshake, `CLOSED` expects the server to hang up, `#` is a remark.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Client } from './client.ts'
import { openTestServer } from './server.ts'

const folder = new URL('../../transcripts/imap/', import.meta.url)
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

for (const name of readdirSync(folder)) {
  test(name.replace('.txt', '').replaceAll('-', ' '), async () => {
    await using server = await openTestServer({ messageBytesMax: 4096 })
    await using clients = new AsyncDisposableStack()
    const script = readFileSync(new URL(name, folder), 'utf8').split('\n')
    const isGuest = script.includes('GUEST')
    const open = new Map<string, Client>()
    const clientNamed = async (who: string): Promise<Client> => {
      const known = open.get(who)
      if (known !== undefined) return known
      const made = clients.use(await (isGuest ? Client.connect(server.port) : Client.loggedIn(server.port)))
      open.set(who, made)
      return made
    }
    for (const [index, written] of script.entries()) {
      const at = `${name}:${index + 1}`
      if (written === '' || written.startsWith('#') || written === 'GUEST') continue
      if (written.startsWith('MAIL ')) {
        const [, to, message] = /^MAIL (\S+) (.*)$/.exec(written)!
        await server.deliver(JSON.parse(message!) as string, { to: to! })
        continue
      }
      const [, who, line] = /^(?:(one|two|three): )?(.*)$/.exec(written)!
      const client = await clientNamed(who ?? 'one')
      if (line!.startsWith('C: ')) client.write(`${utf8(line!.slice(3))}\r\n`)
      else if (line === 'C:') client.write('\r\n')
      else if (line!.startsWith('JSON: ')) client.write(utf8(JSON.parse(line!.slice(6)) as string))
      else if (line === 'TLS') await client.startTls(server.cert)
      else if (line === 'CLOSED') expect(await client.line(), at).toBeUndefined()
      else if (line!.startsWith('S: ')) expect(await client.line(), at).toSatisfy(fits(utf8(line!.slice(3))))
      else if (line!.startsWith('S..: ')) {
        const wanted = fits(utf8(line!.slice(5)))
        const seen: string[] = []
        for (let got = await client.line(); !wanted(got); got = await client.line()) {
          seen.push(got ?? '(closed)')
          if (got === undefined) expect(seen, at).toContain(line!.slice(5))
        }
      } else throw new SyntaxError(at)
    }
  })
}

const fits =
  (wanted: string) =>
  (got: string | undefined): boolean =>
    got !== undefined && (wanted.endsWith('*') ? got.startsWith(wanted.slice(0, -1)) : got === wanted)

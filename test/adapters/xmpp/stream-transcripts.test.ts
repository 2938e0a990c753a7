/** Runs the dialogues of test/transcripts/xmpp-streams; how they are written is said there. */
import { createHmac } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { elementOf } from '../../../src/adapters/xmpp/xml-reader.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { header, openStreamServer, RawClient, type StreamServer } from './stream-server.ts'

const folder = join(import.meta.dirname, '../../transcripts/xmpp-streams')

let world: World
let alice: TestGateway
let server: StreamServer
beforeAll(async () => {
  world = await openWorld()
  alice = await world.gateway('alice')
  server = await openStreamServer(alice)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

interface Line {
  readonly who: string
  readonly text: string
  readonly number: number
}

function parse(text: string): readonly Line[] {
  const lines: Line[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const said = /^([CSX]): (.*)$/.exec(line)
    if (said !== null) lines.push({ who: said[1]!, text: said[2]!, number: index + 1 })
    else if (lines.length > 0) {
      const before = lines.pop()!
      lines.push({ ...before, text: before.text + line.trim() })
    }
  }
  return lines
}

class Play {
  readonly #known = new Map<string, string>()
  #client: RawClient | undefined

  async run({ who, text }: Line): Promise<void> {
    if (text === '(connect)') this.#client = await RawClient.plain(server)
    else if (text === '(TLS)') await this.#client!.startTls()
    else if (text === '(cut)') await this.#cut()
    else if (text === '(end)') expect(await this.#client!.end()).toContain('</stream:stream>')
    else if (who === 'C') this.#client!.say(this.#filled(text))
    else if (who === 'X') for (const client of this.#clients()) client.send(elementOf(text))
    else await this.#expect(text)
  }

  #clients = (): ReturnType<StreamServer['xmpp']['server']['hub']['of']> => server.xmpp.server.hub.of(alice.account)

  async #cut(): Promise<void> {
    this.#client!.socket.destroy()
    await expect.poll(() => server.xmpp.connections).toBe(0)
  }

  #filled(text: string): string {
    return text.replaceAll(/\{([a-z ]+)\}/g, (_, name: string) => this.#value(name))
  }

  #value(name: string): string {
    const base64 = (...parts: readonly (string | Buffer)[]): string =>
      Buffer.concat(parts.map((part) => Buffer.from(part as string))).toString('base64')
    if (name === 'header') return header()
    if (name === 'plain') return base64(`\0${server.user}\0${server.password}`)
    if (name === 'shown token') {
      const shown = createHmac('sha256', this.#known.get('token')!).update('Initiator').digest()
      return base64(`${server.user}\0`, shown)
    }
    return this.#known.get(name)!
  }

  async #expect(text: string): Promise<void> {
    const names: string[] = []
    const pattern = text.replaceAll(/\*|\{([a-z]+)\}|[.?+^$()[\]\\|/]/g, (found, name: string | undefined) => {
      if (found === '*') return '(?:[^]*?)'
      if (name === undefined) return `\\${found}`
      const known = this.#known.get(name)
      if (known !== undefined) return known.replaceAll(/[.?+^$()[\]\\|/]/g, String.raw`\$&`)
      names.push(name)
      return "([^'<]*)"
    })
    const heard = await this.#client!.until(new RegExp(pattern))
    const found = new RegExp(`^(?:<\\?xml [^>]*>)?(?:<stream:stream [^>]*>)?${pattern}$`).exec(heard)
    if (found === null) throw new Error(`expected ${text}\nheard ${heard}`)
    for (const [index, name] of names.entries()) this.#known.set(name, found[index + 1]!)
  }

  end(): void {
    this.#client?.socket.destroy()
  }
}

const plays = readdirSync(folder).filter((name) => name.endsWith('.play'))

test.each(plays)('%s', async (name) => {
  const play = new Play()
  for (const line of parse(readFileSync(join(folder, name), 'utf8'))) {
    try {
      await play.run(line)
    } catch (error) {
      throw new Error(`line ${line.number}: ${(error as Error).message}`, { cause: error })
    }
  }
  play.end()
  await expect.poll(() => server.xmpp.connections).toBe(0)
})

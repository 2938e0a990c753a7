/** COMPRESS=DEFLATE (RFC 4978): whatever is said can be read from what has arrived, in both directions, whatever else goes on. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { constants, createInflateRaw, type DeflateRaw, createDeflateRaw, type InflateRaw } from 'node:zlib'
import { expect, test } from 'vitest'
import { openTestServer, simpleMail, type TestServer } from './server.ts'

const syncMark = Buffer.from([0x00, 0x00, 0xff, 0xff])

/** Inflates as octets arrive, and knows how the octets so far end. */
class DeflatedClient implements AsyncDisposable {
  readonly socket: Socket
  readonly #inflate: InflateRaw = createInflateRaw()
  readonly #deflate: DeflateRaw = createDeflateRaw()
  #isDeflated = false
  #text = ''
  #end: Buffer = Buffer.alloc(0)
  #wake: (() => void) | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      if (!this.#isDeflated) this.#add(chunk)
      else {
        this.#end = Buffer.concat([this.#end, chunk]).subarray(-syncMark.length)
        this.#inflate.write(chunk)
        this.#wake?.()
      }
    })
    this.#inflate.on('data', (chunk: Buffer) => this.#add(chunk))
    this.#deflate.on('data', (chunk: Buffer) => socket.write(chunk))
  }

  static async open(server: TestServer): Promise<DeflatedClient> {
    const socket = connect(server.port, '127.0.0.1')
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const client = new DeflatedClient(socket)
    await client.until(/^\* OK/)
    socket.write('a LOGIN alice secret\r\n')
    await client.until(/^a OK/m)
    return client
  }

  async compress(before = ''): Promise<void> {
    this.socket.write(`${before}c COMPRESS DEFLATE\r\n`)
    await this.until(/^c OK.*\r\n/m)
    this.#isDeflated = true
  }

  /** A mail of 4 MB that deflate cannot shorten much. @returns its body without line ends */
  async appendLarge(): Promise<string> {
    const body = randomBytes(3 * 1024 * 1024).toString('base64')
    const mail = `Subject: large\r\n\r\n${body.replaceAll(/.{1,76}/g, '$&\r\n')}`
    this.socket.write(`l APPEND INBOX {${mail.length}+}\r\n${mail}\r\n`)
    await this.until(/^l OK.*\r\n/m)
    return body
  }

  #add(chunk: Buffer): void {
    this.#text += chunk.toString('latin1')
    this.#wake?.()
  }

  /** Waits for it and takes everything up to its end. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#text)
      if (found !== null) {
        const end = found.index + found[0].length
        const taken = this.#text.slice(0, end)
        this.#text = this.#text.slice(end)
        return taken
      }
      await this.#more()
    }
  }

  /** Waits until what has arrived ends where a flush does. */
  async flushed(): Promise<void> {
    while (!this.#end.equals(syncMark)) await this.#more()
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
  }

  /** Sends deflated, flushed once at the end. */
  async send(text: string, flush: number = constants.Z_SYNC_FLUSH): Promise<void> {
    this.#deflate.write(text)
    await new Promise<void>((resolve) => this.#deflate.flush(flush, resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    await Promise.resolve()
  }
}

/** Keeps every core busy. */
function load(): AsyncDisposable {
  const workers = Array.from({ length: 4 }, () => new Worker('for (;;) Math.random()', { eval: true }))
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}

test('each line pushed in IDLE can be read from what has arrived, with every core busy', async () => {
  await using server = await openTestServer()
  await using client = await DeflatedClient.open(server)
  await client.compress()
  await client.send('b SELECT INBOX\r\ni IDLE\r\n')
  await client.until(/^\+ .*\r\n/m)
  await using busy = load()
  for (let count = 1; count <= 40; count += 1) {
    await server.deliver(simpleMail(`mail ${count}`))
    await client.until(new RegExp(`^\\* ${count} EXISTS\\r\\n[^]*RECENT\\r\\n`, 'm'))
    await client.flushed()
  }
  await busy[Symbol.asyncDispose]()
  await client.send('DONE\r\n')
  await client.until(/^i OK/m)
})

test('commands arrive octet by octet, many at once, and however the client flushes', async () => {
  await using server = await openTestServer()
  await using client = await DeflatedClient.open(server)
  await client.compress()
  client.socket.setNoDelay(true)
  for (const flush of [constants.Z_SYNC_FLUSH, constants.Z_PARTIAL_FLUSH, constants.Z_FULL_FLUSH, constants.Z_BLOCK]) {
    const tags = Array.from({ length: 50 }, (_, at) => `p${flush}.${at}`)
    await client.send(tags.map((tag) => `${tag} NOOP\r\n`).join(''), flush)
    if (flush === constants.Z_BLOCK) await client.send('')
    for (const tag of tags) await client.until(new RegExp(`^${tag} OK.*\\r\\n`, 'm'))
    await client.flushed()
  }
  for (const octet of 'q NOOP\r\n') await client.send(octet)
  await client.until(/^q OK/m)
})

test('a client that does not read for a while gets every octet, large and random as they are', async () => {
  await using server = await openTestServer()
  await using client = await DeflatedClient.open(server)
  const body = await client.appendLarge()
  await client.compress()
  await client.send('b SELECT INBOX\r\n')
  await client.until(/^b OK/m)
  client.socket.pause()
  await client.send('f FETCH 1 BODY.PEEK[]\r\ng NOOP\r\n')
  await server.deliver(simpleMail('meanwhile'))
  client.socket.resume()
  const answer = await client.until(/^g OK/m)
  expect(answer.replaceAll('\r\n', '').includes(body)).toBe(true)
})

test('compression begins behind an answer that the client has not read yet', async () => {
  await using server = await openTestServer()
  await using client = await DeflatedClient.open(server)
  await client.appendLarge()
  client.socket.write('b SELECT INBOX\r\n')
  await client.until(/^b OK.*\r\n/m)
  await client.compress('f FETCH 1 BODY.PEEK[]\r\n')
  await client.send('n NOOP\r\n')
  await client.until(/^n OK/m)
})

test('what is sent before the answer to COMPRESS is not taken for compressed', async () => {
  await using server = await openTestServer()
  await using client = await DeflatedClient.open(server)
  client.socket.write('c COMPRESS DEFLATE\r\nn NOOP\r\n')
  await client.until(/^c NO \[CANNOT\]/m)
  await client.until(/^n OK/m)
})

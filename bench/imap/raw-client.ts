/** An IMAP client that costs next to nothing: it sends a line and looks for the tag at the end of what comes back. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Mail } from './mails.ts'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

const tailBytes = 1024
const answerMsMax = 120_000

export class RawClient implements Disposable {
  readonly #socket: Socket
  #tail = Buffer.alloc(0)
  #bytes = 0
  #tag = 0
  #onData: (() => void) | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length
      this.#tail = (
        chunk.length >= tailBytes ? chunk : Buffer.concat([this.#tail.subarray(-tailBytes), chunk])
      ) as Buffer<ArrayBuffer>
      this.#onData?.()
    })
  }

  static async logIn({ host, port }: Endpoint, user: string, password: string): Promise<RawClient> {
    const socket = connect(port, host)
    await once(socket, 'connect')
    const client = new RawClient(socket)
    await client.#until(/\* OK .*\r\n$/)
    await client.run(`LOGIN ${user} ${password}`)
    return client
  }

  /** @returns octets of the answer @throws unless it is OK */
  async run(command: string): Promise<number> {
    return await this.#run([Buffer.from(command)])
  }

  /** With LITERAL+ and MULTIAPPEND. */
  async append(mailbox: string, mails: readonly Mail[]): Promise<void> {
    const announce = ({ bytes, flags, date }: Mail): Buffer =>
      Buffer.from(` (${flags.join(' ')}) "${date.padStart(26, ' ')}" {${bytes.length}+}\r\n`)
    await this.#run([Buffer.from(`APPEND ${mailbox}`), ...mails.flatMap((mail) => [announce(mail), mail.bytes])])
  }

  /** @returns when to end it; `told` is called each time the server says how many messages there are */
  async idle(told: () => void): Promise<void> {
    this.#tail = Buffer.alloc(0)
    this.#socket.write('i IDLE\r\n')
    await this.#until(/\+ .*\r\n/)
    this.#tail = Buffer.alloc(0)
    this.#onData = () => {
      if (!this.#tail.includes(' EXISTS\r\n')) return
      this.#tail = Buffer.alloc(0)
      told()
    }
  }

  async #run(pieces: readonly Buffer[]): Promise<number> {
    this.#tag += 1
    const tag = `z${this.#tag}`
    const before = this.#bytes
    this.#tail = Buffer.alloc(0)
    this.#socket.cork()
    this.#socket.write(`${tag} `)
    for (const piece of pieces) this.#socket.write(piece)
    this.#socket.write('\r\n')
    this.#socket.uncork()
    const [, status] = await this.#until(new RegExp(`(?:^|\\r\\n)${tag} (.*)\\r\\n$`))
    if (!status!.startsWith('OK')) throw new Error(`${pieces[0]!.toString().slice(0, 60)}: ${status}`)
    return this.#bytes - before
  }

  async #until(pattern: RegExp): Promise<RegExpExecArray> {
    const bound = new AbortController()
    try {
      return await Promise.race([
        new Promise<RegExpExecArray>((resolve) => {
          this.#onData = () => {
            if (this.#tail.at(-1) !== 0x0a) return
            const found = pattern.exec(this.#tail.toString('latin1', Math.max(0, this.#tail.length - tailBytes)))
            if (found !== null) resolve(found)
          }
          this.#onData()
        }),
        sleep(answerMsMax, undefined, { signal: bound.signal }).then(() => {
          throw new Error(`no answer after ${answerMsMax / 1000} s: ${this.#tail.toString('latin1').slice(-200)}`)
        }),
      ])
    } finally {
      bound.abort()
      this.#onData = undefined
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** A bare SMTP client: writes what it is told and reads whole replies. Everything is latin1 text. */
export class Client implements AsyncDisposable {
  #socket: Socket
  #unread = ''
  #ended = false
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#attach(socket)
  }

  static async connect(port: number): Promise<Client> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    await once(socket, 'connect')
    return new Client(socket)
  }

  #attach(socket: Socket): void {
    const end = (): void => {
      this.#ended = true
      this.#wake()
    }
    socket.on('data', (piece: Buffer) => {
      this.#unread += piece.toString('latin1')
      this.#wake()
    })
    socket.on('end', end).on('close', end).on('error', end)
  }

  get socket(): Socket {
    return this.#socket
  }

  write(text: string): void {
    this.#socket.write(text, 'latin1')
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    return true
  }

  /** The next line without CRLF; `undefined` when the server has closed. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#unread.indexOf('\r\n')
      if (end >= 0) {
        const line = this.#unread.slice(0, end)
        this.#unread = this.#unread.slice(end + 2)
        return line
      }
      if (!(await this.#more())) return undefined
    }
  }

  /** All lines of the next reply, joined by newlines. */
  async reply(): Promise<string> {
    const lines: string[] = []
    for (;;) {
      const line = await this.line()
      if (line === undefined) return lines.concat('(closed)').join('\n')
      lines.push(line)
      if (line[3] !== '-') return lines.join('\n')
    }
  }

  /** Writes one command line and reads its reply. */
  async say(command: string): Promise<string> {
    this.write(`${command}\r\n`)
    return await this.reply()
  }

  async startTls(ca: string): Promise<void> {
    this.#socket.removeAllListeners()
    const secure = connectTls({ socket: this.#socket, ca, servername: 'localhost' })
    await once(secure, 'secureConnect')
    this.#socket = secure
    this.#attach(secure)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
  }
}

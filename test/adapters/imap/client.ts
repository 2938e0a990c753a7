/** A bare IMAP client for tests: lines as one character per octet, and whole answers. */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export class Client implements AsyncDisposable {
  #socket: Socket
  #received = ''
  #ended = false
  #wake: (() => void) | undefined
  #tags = 0

  constructor(socket: Socket) {
    this.#socket = socket
    this.#listen(socket)
  }

  static async connect(port: number): Promise<Client> {
    const socket = connectTcp(port, '127.0.0.1')
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new Client(socket)
  }

  /** Connected and logged in as alice. */
  static async loggedIn(port: number): Promise<Client> {
    const client = await Client.connect(port)
    await client.line()
    await client.ok('LOGIN alice secret')
    return client
  }

  async startTls(ca: string): Promise<void> {
    const plain = this.#socket
    plain.removeAllListeners('data').removeAllListeners('end').removeAllListeners('close')
    const secure = connectTls({ socket: plain, ca, servername: 'localhost' })
    await new Promise((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject))
    this.#socket = secure
    this.#listen(secure)
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1')
      this.#wake?.()
    })
    const end = (): void => {
      this.#ended = true
      this.#wake?.()
    }
    socket.on('end', end).on('close', end).on('error', end)
  }

  get socket(): Socket {
    return this.#socket
  }

  write(octets: string): void {
    this.#socket.write(octets, 'latin1')
  }

  /** The next line without CRLF; `undefined` once the server has closed. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#received.indexOf('\r\n')
      if (end >= 0) {
        const line = this.#received.slice(0, end)
        this.#received = this.#received.slice(end + 2)
        return line
      }
      if (this.#ended) return undefined
      await this.#more()
    }
  }

  async octets(count: number): Promise<string> {
    while (this.#received.length < count && !this.#ended) await this.#more()
    const taken = this.#received.slice(0, count)
    this.#received = this.#received.slice(count)
    return taken
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
  }

  /** Runs one command and returns its untagged lines (literals inside them) and its ending. */
  async run(command: string): Promise<{ readonly lines: readonly string[]; readonly end: string }> {
    this.#tags += 1
    const tag = `t${this.#tags}`
    this.write(`${tag} ${command}\r\n`)
    const lines: string[] = []
    for (;;) {
      let line = await this.line()
      if (line === undefined) throw new Error(`closed during ${command}`)
      if (line.startsWith(`${tag} `)) return { lines, end: line.slice(tag.length + 1) }
      for (let mark = /\{(\d+)\}$/.exec(line); mark !== null; mark = /\{(\d+)\}$/.exec(line)) {
        line += `\r\n${await this.octets(Number(mark[1]))}`
        line += (await this.line()) ?? ''
      }
      lines.push(line)
    }
  }

  /** The same, which must end in OK: its lines. */
  async ok(command: string): Promise<readonly string[]> {
    const { lines, end } = await this.run(command)
    if (!end.startsWith('OK')) throw new Error(`${command}: ${end}`)
    return lines
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await Promise.resolve()
  }
}

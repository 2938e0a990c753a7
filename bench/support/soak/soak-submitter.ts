/** An SMTP connection of one account, kept open: sends numbered mails one after the other. */
import { connect, type Socket } from 'node:net'
import { mailOf } from './soak-mail.ts'
import { Wrong } from './soak-session.ts'

export class SoakSubmitter {
  readonly #socket: Socket
  #text = ''
  #wake: (() => void) | undefined
  #turn: Promise<void> = Promise.resolve()

  private constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.on('data', (piece) => {
      this.#text += piece.toString('latin1')
      this.#wake?.()
    })
    this.#socket.on('error', () => this.#wake?.())
  }

  static async open(port: number, login: { user: string; password: string }): Promise<SoakSubmitter> {
    const submitter = new SoakSubmitter(port)
    await submitter.#say('', 220)
    await submitter.#say('EHLO soak\r\n', 250)
    const plain = Buffer.from(`\0${login.user}\0${login.password}`).toString('base64')
    await submitter.#say(`AUTH PLAIN ${plain}\r\n`, 235)
    return submitter
  }

  /** Resolves with the server's 250: from now on the mail may not be lost. */
  async send({ from, to, number }: { from: string; to: string; number: number }): Promise<void> {
    const before = this.#turn
    const done = Promise.withResolvers<void>()
    this.#turn = done.promise
    await before
    try {
      await this.#say(`MAIL FROM:<${from}>\r\n`, 250)
      await this.#say(`RCPT TO:<${to}>\r\n`, 250)
      await this.#say('DATA\r\n', 354)
      await this.#say(`${mailOf(number, { from, to })}.\r\n`, 250)
    } finally {
      done.resolve()
    }
  }

  close(): void {
    this.#socket.destroy()
  }

  async #say(command: string, code: number): Promise<void> {
    if (command !== '') this.#socket.write(command, 'latin1')
    for (;;) {
      const reply = /^(?:\d{3}-.*\r\n)*(\d{3}) .*\r\n/.exec(this.#text)
      if (reply !== null) {
        this.#text = this.#text.slice(reply[0].length)
        if (Number(reply[1]) !== code) throw new Wrong(`SMTP: ${reply[0].trim()}`)
        return
      }
      if (this.#socket.destroyed) throw new Wrong('SMTP: closed')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

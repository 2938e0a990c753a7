/** A client that costs little, so that the server is what is measured: whole groups of commands (RFC 2920), replies counted by line. */
import { connect, type Socket } from 'node:net'

const envelope = 'MAIL FROM:<alice@localhost>\r\nRCPT TO:<bob@localhost>\r\nDATA\r\n'
const header = 'From: alice@localhost\r\nTo: bob@localhost\r\nSubject: bench\r\nMessage-ID: <1@localhost>\r\n\r\n'
const line = `${'x'.repeat(70)}\r\n`
/** 2 KB, as in the baselines of the facts. */
const mail = `${header}${line.repeat(Math.ceil((2048 - header.length) / line.length))}.\r\n`

class Dialogue {
  readonly #socket: Socket
  #text = ''
  #wake: (() => void) | undefined
  #isClosed = false

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.on('data', (piece) => {
      this.#text += piece.toString('latin1')
      this.#wake?.()
    })
    const closed = (): void => {
      this.#isClosed = true
      this.#wake?.()
    }
    this.#socket.on('close', closed).on('error', closed)
  }

  /** Writes, then reads as many replies as codes; @throws when one is another. */
  async say(commands: string, codes: readonly number[]): Promise<void> {
    if (commands !== '') this.#socket.write(commands, 'latin1')
    for (const code of codes) {
      const reply = await this.#reply()
      if (!reply.startsWith(String(code))) throw new Error(`wanted ${code}, got ${reply}`)
    }
  }

  async #reply(): Promise<string> {
    for (;;) {
      const found = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(this.#text)
      if (found !== null) {
        this.#text = this.#text.slice(found[0].length)
        return found[0]
      }
      if (this.#isClosed) throw new Error('closed')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async open(password: string): Promise<void> {
    const login = Buffer.from(`\0bench\0${password}`).toString('base64')
    await this.say('', [220])
    await this.say('EHLO bench\r\n', [250])
    await this.say(`AUTH PLAIN ${login}\r\n`, [235])
  }
  async send(): Promise<void> {
    await this.say(envelope, [250, 250, 354])
    await this.say(mail, [250])
  }
  async quit(): Promise<void> {
    await this.say('QUIT\r\n', [221])
    this.#socket.destroy()
  }
}

/** @returns mails per second over `sessions` at once, each on a new connection or all of a session on one */
export async function mailsPerSecond(
  { port, password }: { readonly port: number; readonly password: string },
  { reused, sessions, ms }: { readonly reused: boolean; readonly sessions: number; readonly ms: number },
): Promise<{ readonly rate: number; readonly mails: number }> {
  const started = performance.now()
  let mails = 0
  const isOver = (): boolean => performance.now() - started > ms
  const sendOne = async (dialogue: Dialogue): Promise<void> => {
    await dialogue.send()
    mails += 1
  }
  const session = async (): Promise<void> => {
    do {
      const dialogue = new Dialogue(port)
      await dialogue.open(password)
      await sendOne(dialogue)
      if (reused) while (!isOver()) await sendOne(dialogue)
      await dialogue.quit()
    } while (!isOver())
  }
  await Promise.all(Array.from({ length: sessions }, session))
  return { rate: mails / ((performance.now() - started) / 1000), mails }
}

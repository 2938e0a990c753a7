/** A program of the Client-Server API that asks as little as it can, so that the server is what is measured. */
import { Agent, request } from 'node:http'

// oxlint-disable-next-line typescript/no-explicit-any
export type Answer = any

export interface Place {
  /** `http://127.0.0.1:8008` */
  readonly url: string
  readonly user: string
  readonly password: string
}

export class Program {
  readonly #url: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Infinity })
  readonly user: string
  #token: string
  #transactions = 0

  private constructor(url: string) {
    this.#url = url
    this.#token = ''
    this.user = ''
  }

  static async logIn({ url, user, password }: Place): Promise<Program> {
    const program = new Program(url)
    const answer = await program.ask('POST', '/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user },
      password,
    })
    program.#token = answer.access_token
    return Object.assign(program, { user: answer.user_id as string })
  }

  /** @throws for any answer but 200 */
  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const said = body === undefined ? undefined : JSON.stringify(body)
    const { status, text } = await this.#exchange(method, path, said)
    if (status !== 200) throw new Error(`${method} ${path.split('?')[0]}: ${status} ${text.slice(0, 300)}`)
    return JSON.parse(text)
  }

  async say(room: string, body: string): Promise<string> {
    this.#transactions += 1
    const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/t${this.#transactions}`
    const { event_id: id } = await this.ask('PUT', path, { msgtype: 'm.text', body })
    return id
  }

  sync = (since: string | undefined, timeoutMs = 0): Promise<Answer> =>
    this.ask('GET', `/sync?timeout=${timeoutMs}${since === undefined ? '' : `&since=${since}`}`)

  close(): void {
    this.#agent.destroy()
  }

  #exchange(method: string, path: string, body: string | undefined): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const asked = request(
        `${this.#url}/_matrix/client/v3${path}`,
        {
          method,
          agent: this.#agent,
          headers: {
            ...(this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }),
            ...(body === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
          },
        },
        (answer) => {
          let text = ''
          answer.setEncoding('utf8')
          answer.on('data', (piece: string) => (text += piece))
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
          answer.on('error', reject)
        },
      )
      asked.on('error', reject)
      asked.end(body)
    })
  }
}

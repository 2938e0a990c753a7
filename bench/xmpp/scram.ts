/** SCRAM-SHA-1 as a program speaks it (RFC 5802), with what a password costs remembered: it is the server that is measured. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

const hmac = (key: Uint8Array, text: string | Uint8Array): Buffer => createHmac('sha1', key).update(text).digest()

const salted = new Map<string, Buffer>()

function saltedPassword(password: string, salt: string, iterations: number): Buffer {
  const name = `${password} ${salt} ${iterations}`
  const known = salted.get(name)
  if (known !== undefined) return known
  const made = pbkdf2Sync(password, Buffer.from(salt, 'base64'), iterations, 20, 'sha1')
  salted.set(name, made)
  return made
}

export class Scram {
  readonly #user: string
  readonly #password: string
  readonly #nonce = randomBytes(18).toString('base64')

  constructor(user: string, password: string) {
    this.#user = user
    this.#password = password
  }

  get #bare(): string {
    return `n=${this.#user},r=${this.#nonce}`
  }

  first(): string {
    return Buffer.from(`n,,${this.#bare}`).toString('base64')
  }

  answer(challenge: string): string {
    const text = Buffer.from(challenge, 'base64').toString()
    const {
      r: nonce = '',
      s: salt = '',
      i: iterations = '',
    } = Object.fromEntries(text.split(',').map((part) => [part[0], part.slice(2)])) as Readonly<
      Record<string, string | undefined>
    >
    const secret = saltedPassword(this.#password, salt, Number(iterations))
    const unproven = `c=biws,r=${nonce}`
    const clientKey = hmac(secret, 'Client Key')
    const signature = hmac(createHash('sha1').update(clientKey).digest(), `${this.#bare},${text},${unproven}`)
    const proof = Buffer.from(clientKey.map((octet, at) => octet ^ signature[at]!)).toString('base64')
    return Buffer.from(`${unproven},p=${proof}`).toString('base64')
  }
}

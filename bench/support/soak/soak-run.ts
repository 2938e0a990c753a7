/** Gateway, accounts and players of the soak, and what they found wrong. */
import { Gateway } from '../../../test/interop/support/gateway-process.ts'
import { seeded } from '../seeded.ts'
import { AccountModel } from './soak-model.ts'
import { SoakPlayer } from './soak-player.ts'
import { SoakSession, Wrong } from './soak-session.ts'
import { SoakSubmitter } from './soak-submitter.ts'

export interface SoakOptions {
  readonly seed: number
  readonly accounts: number
  readonly clientsPerAccount: number
  /** Above so many messages an account only loses some. */
  readonly messagesMax: number
  readonly say: (line: string) => void
}

const mailboxNames = ['INBOX', 'Archive', 'Drafts', 'Junk', 'Work', 'Work/Kept']

interface Login {
  readonly user: string
  readonly password: string
}

export class Soak implements AsyncDisposable {
  readonly #options: SoakOptions
  readonly #gateway: Gateway
  readonly #accounts: AccountModel[] = []
  readonly #players: SoakPlayer[] = []
  readonly #submitters: SoakSubmitter[] = []
  readonly wrong: string[] = []
  #number = 0

  private constructor(options: SoakOptions, gateway: Gateway) {
    this.#options = options
    this.#gateway = gateway
  }

  static async open(options: SoakOptions): Promise<Soak> {
    const gateway = await Gateway.create('soak')
    await gateway.start()
    const soak = new Soak(options, gateway)
    for (let at = 0; at < options.accounts; at += 1) await soak.#addAccount(at)
    for (const player of soak.#players) await player.start()
    return soak
  }

  get pid(): number {
    return this.#gateway.pid
  }
  get actions(): number {
    return this.#players.reduce((sum, { actions }) => sum + actions, 0)
  }
  get delivered(): number {
    return this.#accounts.reduce((sum, { travelling }) => sum + travelling.size, 0)
  }
  /** Acknowledged, and never shown by anyone. */
  get lost(): number {
    const missing = this.#accounts.map(
      ({ travelling, arrived }) =>
        [...travelling].filter(([number, { isAcknowledged }]) => isAcknowledged && !arrived.has(number)).length,
    )
    return missing.reduce((sum, count) => sum + count, 0)
  }

  /** Everybody acts until `signal` says so; resolves when the last answers are there. */
  async play(signal: AbortSignal): Promise<void> {
    const loop = async (player: SoakPlayer): Promise<void> => {
      while (!signal.aborted && !player.account.isGivenUp) await this.#careful(player, async () => await player.act())
    }
    await Promise.all(this.#players.map(loop))
  }

  /** With nobody acting, one of each account looks at everything. */
  async settle(): Promise<void> {
    const each = this.#options.clientsPerAccount
    for (const [at, player] of this.#players.entries()) {
      if (at % each < 2 && !player.account.isGivenUp) await this.#careful(player, async () => await player.settle())
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const player of this.#players) await player.stop()
    for (const submitter of this.#submitters) submitter.close()
    await this.#gateway[Symbol.asyncDispose]()
  }

  async #careful({ account }: SoakPlayer, use: () => Promise<void>): Promise<void> {
    try {
      await use()
    } catch (error) {
      if (!(error instanceof Wrong)) throw error
      if (account.isGivenUp) return
      account.isGivenUp = true
      this.wrong.push(`${account.user}: ${error.message}`)
      this.#options.say(`wrong: ${this.wrong.at(-1)}`)
    }
  }

  async #addAccount(at: number): Promise<void> {
    const address = at === 0 ? this.#gateway.address : `user${at}@soak.example`
    if (at > 0) await this.#gateway.verb('account', 'add', address)
    const account = new AccountModel(address.split('@')[0]!, address, mailboxNames)
    const made = await this.#gateway.verb<{ password: string }>(
      'password',
      'add',
      '--account',
      address,
      '--name',
      'soak',
    )
    const login = { user: account.user, password: made.password }
    this.#accounts.push(account)
    const { imap, smtp } = this.#gateway.listeners
    await createMailboxes(imap.port, login, mailboxNames)
    const submitter = await SoakSubmitter.open(smtp.port, login)
    this.#submitters.push(submitter)
    for (let client = 0; client < this.#options.clientsPerAccount; client += 1) {
      const index = this.#players.length
      const openSession = async () => await SoakSession.open(imap.port, login, index % 2 === 0)
      const options = {
        index,
        account,
        accounts: this.#accounts,
        random: seeded(this.#options.seed * 1000 + index),
        messagesMax: this.#options.messagesMax,
        nextNumber: () => (this.#number += 1),
        openSession,
        submitter,
      }
      this.#players.push(new SoakPlayer(options, await openSession()))
    }
  }
}

async function createMailboxes(port: number, login: Login, wanted: readonly string[]): Promise<void> {
  const session = await SoakSession.open(port, login, false)
  for (const name of wanted) await session.run(`CREATE ${name}`, /^NO/)
  await session.close()
}

/** A box in this process: a home of its own, real listeners on loopback, and real clients. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ImapFlow } from 'imapflow'
import { createTransport } from 'nodemailer'
import type { RunningGateway } from '../../src/cli/wiring.ts'
import { loadConfig } from '../../src/config.ts'
import type { OperationContext, Operations, Params, Results, Verb } from '../../src/core/control.ts'
import { createWiring } from '../../src/wiring.ts'

const context: OperationContext = { signal: new AbortController().signal, progress: () => {} }
const quiet = ['overlay.mdns=false', 'overlay.host=127.0.0.1', 'overlay.loopback=true', 'log.level=error']

export type Ask = <V extends Verb>(verb: V, params: Params<V>) => Promise<Results[V]>

const asking =
  (operations: Operations): Ask =>
  async (verb, params) =>
    await operations[verb](params, context)

export interface Box extends AsyncDisposable {
  readonly home: string
  readonly gateway: RunningGateway
  readonly ask: Ask
  /** The box's certificate authority, PEM. */
  readonly authority: string
  /** Stops it and starts it again on the same home. */
  restart(...set: readonly string[]): Promise<void>
  /** Asks the stopped home, then starts again. */
  whileStopped(use: (ask: Ask) => Promise<void>): Promise<void>
}

export async function openBox(...set: readonly string[]): Promise<Box> {
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-office-'))
  const home = join(folder, 'home')
  const wiring = createWiring('0.0.0-test')
  await wiring.createHome(home, {
    address: 'first@box.example',
    displayName: undefined,
    serviceDomain: undefined,
    passphrase: undefined,
    keepWords: true,
  })
  const start = async (more: readonly string[]): Promise<RunningGateway> =>
    await wiring.start(home, loadConfig({ portsAuto: true, set: [...quiet, ...more] }), undefined)
  let gateway = await start(set)
  let authority = ''
  const box: Box = {
    home,
    get gateway() {
      return gateway
    },
    get authority() {
      return authority
    },
    ask: async (verb, params) => await asking(gateway.operations)(verb, params),
    async restart(...more) {
      await gateway[Symbol.asyncDispose]()
      gateway = await start(more.length === 0 ? set : more)
    },
    async whileStopped(use) {
      await gateway[Symbol.asyncDispose]()
      {
        await using stopped = await wiring.openStopped(home, undefined)
        await use(asking(stopped))
      }
      gateway = await start(set)
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  authority = (await box.ask('trustExport', {})).certificate
  return box
}

export interface Person {
  readonly user: string
  readonly password: string
}

/** A mail of about so many bytes; what the server says to it. */
export async function send({ gateway, authority }: Box, from: Person, to: string, bytes: number): Promise<string> {
  const { host, port } = gateway.listeners.smtps!
  const transport = createTransport({
    host,
    port,
    secure: true,
    tls: { ca: authority },
    auth: { user: from.user, pass: from.password },
  })
  try {
    const text = `${'x'.repeat(70)}\r\n`.repeat(Math.ceil(bytes / 72))
    const { response } = await transport.sendMail({ from: from.user, to, subject: 'size', text })
    return response
  } catch (error) {
    return (error as { response?: string }).response ?? String(error)
  } finally {
    transport.close()
  }
}

/** Logged in. Rejects when the server refuses. */
export async function logIn({ gateway, authority }: Box, { user, password }: Person): Promise<ImapFlow> {
  const { host, port } = gateway.listeners.imaps!
  const client = new ImapFlow({
    host,
    port,
    secure: true,
    tls: { ca: authority },
    auth: { user, pass: password },
    logger: false,
  })
  client.on('error', () => {}) // the server may end it, and the test asks whether it did
  await client.connect()
  return client
}

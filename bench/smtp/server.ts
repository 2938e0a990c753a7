/**
 * The server side of bench/smtp.bench.ts, in a process of its own: `ours` writes each mail as one row of the real store,
 * `ours-null-sink` forgets it, `maildir` is stock smtp-server with an fsynced Maildir, `null-sink` is stock smtp-server that
 * forgets. Ours checks an app password as the gateway does; the peer compares it as text.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type SMTPServerDataStream, SMTPServer } from 'smtp-server'
import { openSmtp } from '../../src/adapters/smtp/adapter.ts'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { concat, toHex } from '../../src/core/bytes.ts'
import { Secret } from '../../src/core/crypto/secret.ts'
import { sha256 } from '../../src/core/crypto/kdf.ts'
import type { Submitter } from '../../src/core/delivery/submission.ts'
import type { MessageId } from '../../src/core/ids.ts'
import type { Store } from '../../src/core/store/store.ts'
import { tables } from '../../src/core/store/tables.ts'
import { openKnowledge } from '../../src/node.ts'
import { createAccount } from '../../src/operations/accounts.ts'
import { selfSigned } from '../../test/adapters/wire/certificate.ts'

const folder = mkdtempSync(join(tmpdir(), 'bench-smtp-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }
type Keep = (id: Uint8Array, mail: Uint8Array) => Promise<void>

/** What the client needs to know. */
interface Listening {
  readonly port: number
  readonly password: string
}

async function ours(keepIn: (store: Store) => Keep): Promise<Listening> {
  const paths = { store: join(folder, 'store'), blobs: join(folder, 'blobs') }
  const knowledge = await openKnowledge({ paths, key: new Secret(systemRandom.bytes(32)) }, ambient)
  const account = { localName: 'bench', address: undefined, displayName: undefined }
  const { appPassword: password } = await createAccount(knowledge, ambient, account)
  const keep = keepIn(knowledge.store)
  const submitter: Submitter = {
    mayUse: () => true,
    recipient: () => ({ kind: 'ok' }),
    async submit(_account, { body }) {
      const pieces: Uint8Array[] = []
      for await (const piece of body) pieces.push(piece)
      const mail = concat(...pieces)
      const id = sha256(concat(systemRandom.bytes(16), mail))
      await keep(id, mail)
      return { id: toHex(id) as MessageId }
    },
  }
  const material = await selfSigned()
  const smtp = await openSmtp(
    { smtp: { host: '127.0.0.1', port: 0 }, messageBytesMax: 1024 * 1024 },
    { logins: knowledge.logins, submitter, hostname: 'localhost', tls: () => material },
    ambient,
  )
  return { port: smtp.listeners.smtp!.port, password }
}

async function stock(store: (stream: SMTPServerDataStream) => Promise<void>): Promise<Listening> {
  const password = 'bench'
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    onAuth: (auth, _session, done) =>
      auth.password === password ? done(null, { user: 'bench' }) : done(new Error('wrong password')),
    onData: (stream, _session, done) => {
      void answer(store(stream), done)
    },
  })
  return await new Promise((resolve) => {
    const listening = server.listen(0, '127.0.0.1', () => {
      const address = listening.address()
      resolve({ port: typeof address === 'object' && address !== null ? address.port : 0, password })
    })
  })
}

async function answer(stored: Promise<void>, done: (error?: Error | null) => void): Promise<void> {
  try {
    await stored
    done()
  } catch (error) {
    done(error as Error)
  }
}

async function maildir(): Promise<(stream: SMTPServerDataStream) => Promise<void>> {
  for (const name of ['tmp', 'new', 'cur']) await mkdir(join(folder, name))
  const directory = await open(join(folder, 'new'), 'r')
  let count = 0
  return async (stream) => {
    count += 1
    const name = `${Date.now()}.${process.pid}_${count}.bench`
    const file = await open(join(folder, 'tmp', name), 'wx')
    await file.writeFile(await buffer(stream))
    await file.sync()
    await file.close()
    await rename(join(folder, 'tmp', name), join(folder, 'new', name))
    await directory.sync()
  }
}

const inStore = (store: Store): Keep => {
  return async (id, mail) => await store.write((tx) => tx.put(tables.messages, id, mail))
}

const kinds: Readonly<Record<string, () => Promise<Listening>>> = {
  ours: async () => await ours(inStore),
  'ours-null-sink': async () => await ours(() => async () => {}),
  maildir: async () => await stock(await maildir()),
  'null-sink': async () => await stock(async (stream) => void (await buffer(stream))),
}
const listening = await kinds[process.argv[2]!]!()
process.on('message', () => process.send!({ cpu: process.cpuUsage() }))
process.on('disconnect', () => process.exit(0))
process.send!(listening)

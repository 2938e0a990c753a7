/**
 * A private Dovecot in a folder of its own, as the peer: sdbox, the fastest of its common mailbox formats, with its
 * own settings otherwise (so that APPEND is synced). `undefined` where it is not installed.
 */
import { accessSync, constants } from 'node:fs'
import { chown, chmod, mkdir, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Program, runOk } from '../../test/interop/support/processes.ts'
import { tempFolder } from '../../test/interop/support/temp-folder.ts'
import { freePort } from '../support/free-port.ts'
import { RawClient } from './raw-client.ts'

const executable = '/usr/sbin/dovecot'
const password = 'secret'

export interface Dovecot extends AsyncDisposable {
  readonly pid: number
  readonly version: string
  readonly logIn: () => Promise<RawClient>
}

export async function startDovecot(): Promise<Dovecot | undefined> {
  try {
    accessSync(executable, constants.X_OK)
  } catch {
    return undefined
  }
  await using parts = new AsyncDisposableStack()
  const folder = parts.use(await tempFolder('dovecot'))
  const { stdout } = await runOk(executable, ['--version'])
  const endpoint = { host: '127.0.0.1', port: await freePort() }
  const settings = join(folder.path, 'dovecot.conf')
  await prepare(folder.path, settings, endpoint.port)
  const program = parts.use(new Program(executable, ['-F', '-c', settings]))
  const logIn = async (): Promise<RawClient> => await RawClient.logIn(endpoint, 'alice', password)
  await answering(logIn, program)
  const owned = parts.move()
  return {
    pid: program.pid,
    version: stdout.trim(),
    logIn,
    [Symbol.asyncDispose]: async () => {
      await program.stop()
      await owned.disposeAsync()
    },
  }
}

/** Dovecot does not serve mail as root: then it becomes the users that its package made. */
async function prepare(folder: string, settings: string, port: number): Promise<void> {
  const isRoot = userInfo().uid === 0
  const own = userInfo().username
  const mail = join(folder, 'mail')
  await mkdir(mail)
  await chmod(folder, 0o755)
  if (isRoot) {
    const uid = Number((await runOk('id', ['-u', 'nobody'])).stdout)
    await chown(mail, uid, Number((await runOk('id', ['-g', 'nobody'])).stdout))
  }
  const lines = [
    `base_dir = ${folder}/run`,
    `state_dir = ${folder}/state`,
    `log_path = ${folder}/log`,
    'listen = 127.0.0.1',
    'protocols = imap',
    'ssl = no',
    'disable_plaintext_auth = no',
    'mail_location = sdbox:~/sdbox',
    'mail_max_userip_connections = 200',
    'first_valid_uid = 1',
    'first_valid_gid = 1',
    `default_internal_user = ${isRoot ? 'dovecot' : own}`,
    `default_login_user = ${isRoot ? 'dovenull' : own}`,
    `mail_uid = ${isRoot ? 'nobody' : own}`,
    ...(isRoot ? ['mail_gid = nogroup'] : [`default_internal_group = ${userInfo().gid}`]),
    `passdb {\n driver = static\n args = password=${password}\n}`,
    `userdb {\n driver = static\n args = home=${mail}/%u\n}`,
    `service imap-login {\n chroot =\n inet_listener imap {\n port = ${port}\n }\n inet_listener imaps {\n port = 0\n }\n}`,
    'service anvil {\n chroot =\n}',
    'namespace inbox {\n inbox = yes\n}',
  ]
  await writeFile(settings, `${lines.join('\n')}\n`)
}

async function answering(logIn: () => Promise<RawClient>, program: Program): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const client = await logIn()
      client[Symbol.dispose]()
      return
    } catch (error) {
      if (attempt > 50 || program.exitCode !== undefined)
        throw new Error(`Dovecot does not answer\n${program.stderr}`, { cause: error })
      await sleep(100)
    }
  }
}

/** Copies a file with scp over an SSH server of its own on loopback. `undefined` where it is not installed. */
import { accessSync, constants } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Program, runOk } from '../../test/interop/support/processes.ts'
import { tempFolder } from '../../test/interop/support/temp-folder.ts'
import { freePort } from '../support/free-port.ts'

const server = '/usr/sbin/sshd'

/** @returns seconds */
export async function copyTime(path: string): Promise<number | undefined> {
  try {
    accessSync(server, constants.X_OK)
  } catch {
    return undefined
  }
  await using folder = await tempFolder('scp')
  const at = (name: string): string => join(folder.path, name)
  for (const key of ['host', 'user']) await runOk('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)])
  const port = await freePort()
  await runOk('cp', [at('user.pub'), at('authorized')])
  await writeFile(
    at('config'),
    [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${at('host')}`,
      `AuthorizedKeysFile ${at('authorized')}`,
      `PidFile ${at('pid')}`,
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      'StrictModes no',
      'UsePAM no',
      'Subsystem sftp internal-sftp',
      '',
    ].join('\n'),
  )
  if (userInfo().uid === 0) await mkdir('/run/sshd', { recursive: true }) // where it gives up its rights; the package makes it at boot
  const program = new Program(server, ['-D', '-e', '-f', at('config')])
  try {
    const options = ['-i', at('user'), '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-q']
    const copy = async (from: string): Promise<void> =>
      void (await runOk('scp', [...options, '-P', `${port}`, from, `${userInfo().username}@127.0.0.1:${at('copy')}`]))
    await answering(async () => await copy(at('config')))
    const startedAt = performance.now()
    await copy(path)
    return (performance.now() - startedAt) / 1000
  } finally {
    await program.stop()
    await rm(at('copy'), { force: true })
  }
}

async function answering(attempt: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt()
    } catch (error) {
      if (tries === 20) throw error
      await sleep(200)
    }
  }
}

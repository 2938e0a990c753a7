/** `backup`: everything that a home holds, encrypted into one file, and back out of it. */
import { type FileHandle, open, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { homeDirectory } from '../config.ts'
import { systemRandom } from '../core/ambient.ts'
import { ByteStream } from '../core/byte-stream.ts'
import type { BackupCounts } from '../core/control-views.ts'
import { hasCode, MyceliumError } from '../core/errors.ts'
import { openBackup, sealBackup } from '../core/transfer/backup-file.ts'
import type { RandomAccess } from '../core/transfer/file-lines.ts'
import { decodeHome } from '../core/transfer/home-stream.ts'
import { connectControl } from './client.ts'
import {
  type CommonOptions,
  type Environment,
  print,
  readNewPassphrase,
  readPassphrase,
  withCommon,
} from './context.ts'
import { UsageError } from './errors.ts'
import { openRegular } from './mail-files/files.ts'
import { showStanding, size } from './progress.ts'
import { draftName, takeName } from './take-name.ts'
import type { BackupSink } from './wiring.ts'

type Options = CommonOptions & { readonly force?: boolean }

interface Outcome extends BackupCounts {
  readonly file: string
  readonly bytes: number
}

export function addBackup(program: Command, environment: Environment): void {
  const backup = program.command('backup').description('Everything that this home holds, encrypted, in one file.')
  const verb = (usage: string, description: string, help: string): Command =>
    withCommon(backup.command(usage)).description(description).addHelpText('after', help)

  verb('create <file>', 'Writes a backup, also while the gateway runs.', createHelp)
    .option('--force', 'replace the file if it is there')
    .action(async (file: string, options: Options) => {
      const outcome = await create(environment, file, options)
      print(environment, options, outcome, ({ bytes, missing }) =>
        [
          `Wrote ${file}, ${size(bytes)}. Whoever has it and its passphrase has this account: keep them apart.`,
          ...(missing === 0 ? [] : [`${missing} files of the store were missing: see doctor.`]),
        ].join('\n'),
      )
    })

  verb('restore <file>', 'Makes a home of a backup, where there is none.', restoreHelp).action(
    async (file: string, options: Options) => {
      const outcome = await restore(environment, file, options)
      print(environment, options, outcome, () => restoredText)
    },
  )
}

const createHelp = `
The passphrase is the backup's own; it is asked for, or the first line of standard input with --passphrase-stdin.`
const restoreHelp = `
The file is checked to its end before anything is written. The restored home keeps identity, contacts and mail, and
goes on as a new device; its key store opens as it did when the backup was made. Do not start the old home again.`
const restoredText = `Restored. Start it with: run
It goes on as a new device, so mail programs fetch everything anew. Do not start the old home again.`

async function create(environment: Environment, path: string, options: Options): Promise<Outcome> {
  const { wiring, terminal } = environment
  const home = homeDirectory(options.home)
  if (wiring.inspect(home).kind === 'nothing') throw new MyceliumError('not-initialised')
  if (options.force !== true && (await stat(path).catch(() => undefined)) !== undefined)
    throw new UsageError(`${path} is there already; choose another name, or replace it with --force`)
  const passphrase = await readNewPassphrase(terminal, { ...options, askPassphrase: true })
  if (passphrase === undefined) throw new MyceliumError('key-store-locked')
  const draft = join(dirname(path), draftName())
  const file = await open(draft, 'wx', 0o600)
  try {
    const { counts, bytes } = await writeSealed(environment, home, file, passphrase)
    await file.sync()
    await file.close()
    await takeName(draft, path, options.force === true)
    return { file: path, bytes, ...counts }
  } finally {
    await file.close().catch(() => {})
    await rm(draft, { force: true })
  }
}

/** The home's stream through the cipher into the file. */
async function writeSealed(
  { wiring, terminal }: Environment,
  home: string,
  file: FileHandle,
  passphrase: string,
): Promise<{ readonly counts: BackupCounts; readonly bytes: number }> {
  const plain = new ByteStream()
  let bytes = 0
  let bytesTotal = 0
  using _ = showStanding(terminal, () => ({ bytes, bytesTotal }))
  const writing = (async () => {
    for await (const piece of sealBackup(plain, passphrase, { random: systemRandom })) {
      await file.writeFile(piece)
      bytes += piece.length
    }
  })()
  writing.catch((error: unknown) => plain.fail(error))
  const sink: BackupSink = {
    signal: terminal.stop,
    output: async (piece) => {
      if (bytesTotal === 0) bytesTotal = await announced(piece)
      await plain.push(piece, false)
    },
  }
  try {
    const counts = await readHome({ wiring, terminal }, home, sink)
    await plain.push(undefined, true)
    await writing
    return { counts, bytes }
  } catch (error) {
    plain.fail(error)
    await writing.catch(() => {})
    throw error
  }
}

/** The first record says how much comes. */
async function announced(piece: Uint8Array): Promise<number> {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(piece)
  }
  for await (const event of decodeHome(once())) if (event.kind === 'begin') return event.bytes
  return 0
}

async function readHome({ wiring }: Environment, home: string, sink: BackupSink): Promise<BackupCounts> {
  const client = await connectControl(wiring.controlSocket(home))
  if (client === undefined) return await wiring.readStopped(home, sink)
  await using connected = client
  return await connected.operations.backupRead({}, { ...sink, progress: () => {} })
}

async function restore({ wiring, terminal }: Environment, path: string, options: Options): Promise<Outcome> {
  const home = homeDirectory(options.home)
  if (wiring.inspect(home).kind === 'home')
    throw new MyceliumError('home-invalid', { reason: 'it is a home already; nothing was changed' })
  await using file = await openRegular(path)
  const passphrase = await readPassphrase(terminal, options)
  let bytes = 0
  using _ = showStanding(terminal, () => ({ bytes, bytesTotal: 2 * file.size }))
  const watched: RandomAccess = {
    size: file.size,
    read: async (from, to) => {
      terminal.stop.throwIfAborted()
      bytes += to - from
      return await file.read(from, to)
    },
  }
  try {
    for await (const _ of decodeHome(openBackup(watched, passphrase))); // to its end, before anything is written
    const counts = await wiring.restoreHome(home, openBackup(watched, passphrase))
    return { file: path, bytes: file.size, ...counts }
  } catch (error) {
    if (hasCode(error, 'wrong-credentials'))
      throw new Error(`wrong passphrase, or the beginning of ${path} was altered; nothing was restored`, {
        cause: error,
      })
    if (!hasCode(error, 'malformed')) throw error
    const isOther = (error as MyceliumError).details['what'] === 'backup' && bytes < 1000
    const line = isOther ? 'is not a backup, or was made by a later version' : 'is cut off or was altered'
    throw new Error(`${path} ${line}; nothing was restored`, { cause: error })
  }
}

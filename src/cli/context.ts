/** What every command shares: `--home`, `--json`, finding the gateway or opening the stopped home, and printing. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { homeDirectory } from '../config.ts'
import type { OperationContext, Operations, Progress } from '../core/control.ts'
import { hasCode, MyceliumError } from '../core/errors.ts'
import { connectControl } from './client.ts'
import { UsageError } from './errors.ts'
import type { Terminal, Wiring } from './wiring.ts'

export interface CommonOptions {
  readonly home?: string
  readonly json?: boolean
  readonly passphraseStdin?: boolean
  readonly passphraseFile?: string
}

export interface Environment {
  readonly wiring: Wiring
  readonly terminal: Terminal
}

/** How long a gateway that holds the home, but does not answer yet or any more, is waited for. */
const lockedWaitMs = 10_000
const lockedPollMs = 100
const passphraseCharsMin = 12

export const withCommon = (command: Command): Command =>
  command
    .option('--home <dir>', 'home directory (default: $MYCELIUM_HOME, else the platform’s data directory)')
    .option('--json', 'print the result as JSON')
    .option('--passphrase-stdin', 'read the key store’s passphrase from standard input')
    .option('--passphrase-file <file>', 'read the key store’s passphrase from a file, e.g. a secret of a container')

/** Runs `use` on the running gateway, or else on the stopped home. */
export async function withOperations<T>(
  { wiring, terminal }: Environment,
  options: CommonOptions,
  use: (operations: Operations, context: OperationContext) => Promise<T>,
): Promise<T> {
  const home = homeDirectory(options.home)
  const context: OperationContext = { signal: terminal.stop, progress: (progress) => showProgress(terminal, progress) }
  const deadline = performance.now() + lockedWaitMs
  let passphrase: string | undefined
  for (;;) {
    const client = await connectControl(wiring.controlSocket(home))
    if (client !== undefined) {
      await using connected = client
      return await use(connected.operations, context)
    }
    const state = wiring.inspect(home)
    if (state.kind === 'nothing') throw new MyceliumError('not-initialised')
    if (state.keyStore === 'passphrase') passphrase ??= await readPassphrase(terminal, options)
    try {
      await using stopped = await wiring.openStopped(home, passphrase)
      return await use(stopped, context)
    } catch (error) {
      // The gateway may be starting or draining: its socket answers soon, or its lock goes.
      if (!hasCode(error, 'home-locked') || performance.now() > deadline) throw error
      await sleep(lockedPollMs, undefined, { signal: terminal.stop })
    }
  }
}

/** For a key store that has a passphrase. @throws `key-store-locked` */
export async function readPassphrase(terminal: Terminal, options: CommonOptions): Promise<string> {
  const given = await givenPassphrase(terminal, options)
  if (given !== undefined) return given
  if (!terminal.interactive) throw new MyceliumError('key-store-locked')
  return await terminal.ask('Passphrase: ', { hidden: true })
}

async function givenPassphrase(terminal: Terminal, options: CommonOptions): Promise<string | undefined> {
  if (options.passphraseFile !== undefined) return readFileSync(options.passphraseFile, 'utf8').replace(/\r?\n$/, '')
  return options.passphraseStdin === true ? await terminal.readStdin() : undefined
}

/** For a new key store; `undefined` when none was asked for. @throws UsageError */
export async function readNewPassphrase(
  terminal: Terminal,
  options: CommonOptions & { readonly askPassphrase?: boolean },
): Promise<string | undefined> {
  const given = await givenPassphrase(terminal, options)
  if (given !== undefined) return longEnough(given)
  if (options.askPassphrase !== true) return undefined
  if (!terminal.interactive) throw new UsageError('--ask-passphrase needs a terminal; use --passphrase-stdin')
  const first = longEnough(await terminal.ask('New passphrase: ', { hidden: true }))
  if (first !== (await terminal.ask('Again: ', { hidden: true }))) throw new UsageError('the passphrases differ')
  return first
}

function longEnough(passphrase: string): string {
  if (passphrase.length < passphraseCharsMin) {
    throw new UsageError(`a passphrase has at least ${passphraseCharsMin} characters`)
  }
  return passphrase
}

/** One line of JSON, or the text for a person. */
export function print<T>(
  { terminal }: Environment,
  options: CommonOptions,
  result: T,
  text: (result: T) => string,
): void {
  terminal.out(options.json === true ? `${JSON.stringify(result)}\n` : `${text(result).trimEnd()}\n`)
}

function showProgress(terminal: Terminal, { step, done, total }: Progress): void {
  if (!terminal.interactive) return
  terminal.err(total === undefined ? `${step} …\n` : `${step} ${done ?? 0}/${total}\n`)
}

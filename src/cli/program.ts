/** The command line as a whole: which commands there are, and how every outcome becomes an exit code. */
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { addAccount } from './account.ts'
import { addAudit } from './audit.ts'
import { addBackup } from './backup.ts'
import { addChat } from './chat.ts'
import { addContact } from './contact.ts'
import type { Environment } from './context.ts'
import { addDevice } from './device.ts'
import { lineFor, UsageError } from './errors.ts'
import { addFile } from './file.ts'
import { addGroup } from './group.ts'
import { addInit } from './init.ts'
import { addInvite } from './invite.ts'
import { addPassword } from './password.ts'
import { addQueue } from './queue.ts'
import { addRecovery } from './recovery.ts'
import { addRelay } from './relay.ts'
import { addRun } from './run.ts'
import { addService } from './service.ts'
import { addStatus } from './status.ts'
import { addTransfer } from './transfer.ts'
import { addTrust } from './trust.ts'

/** @returns the exit code: 0 done, 1 failed with one line on standard error, 2 wrong usage */
export async function runCommandLine(args: readonly string[], environment: Environment): Promise<number> {
  const { terminal } = environment
  try {
    await buildProgram(environment).parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // it has printed its own line
    terminal.err(`mycelium-gateway: ${lineFor(error)}\n`)
    return error instanceof UsageError || error instanceof ConfigError ? 2 : 1
  }
}

function buildProgram(environment: Environment): Command {
  const { wiring, terminal } = environment
  const program = new Command('mycelium-gateway')
    .description('Mail between people, end-to-end encrypted and peer to peer, from the programs they already use.')
    .version(wiring.version)
    .showHelpAfterError('(--help shows the usage)')
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text) })
    .exitOverride()
  const add = [
    addInit,
    addRun,
    addStatus,
    addAccount,
    addPassword,
    addInvite,
    addContact,
    addChat,
    addFile,
    addGroup,
    addDevice,
    addQueue,
    addRelay,
    addTransfer,
    addBackup,
    addTrust,
    addRecovery,
    addAudit,
    addService,
  ]
  for (const addCommand of add) addCommand(program, environment)
  return program
}

/** `service install` and `uninstall`: the gateway starts with the session, or with the machine. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { homeDirectory } from '../config.ts'
import { type CommonOptions, type Environment, print, withCommon } from './context.ts'
import { UsageError } from './errors.ts'
import { launchAgent, launchLabel, serviceName, systemUnit, userUnit } from './service-files.ts'

interface ServiceCommandOptions extends CommonOptions {
  readonly system?: boolean
  readonly print?: boolean
  readonly launchd?: boolean
  readonly config?: string
}

/** Where a service is described, and what makes the manager take it. */
interface Place {
  readonly file: string
  readonly install: readonly (readonly string[])[]
  readonly uninstall: readonly (readonly string[])[]
}

export function addService(program: Command, environment: Environment): void {
  const service = program.command('service').description('The gateway as a service of this machine.')

  withCommon(service.command('install'))
    .description('Installs and starts the gateway as a service: systemd user unit, or launchd agent on macOS.')
    .option('--system', 'for the whole machine, as a user of its own with its home in /var/lib (systemd, root)')
    .option('--config <file>', 'configuration for the service')
    .option('--print', 'write the unit or agent to standard output and install nothing')
    .option('--launchd', 'the launchd agent, with --print on any system')
    .action((options: ServiceCommandOptions) => install(environment, options))

  withCommon(service.command('uninstall'))
    .description('Stops and removes the service. The home stays.')
    .option('--system', 'the one for the whole machine')
    .action((options: ServiceCommandOptions) => {
      const { file, uninstall } = placeOf(options)
      for (const command of uninstall) attempt(command)
      rmSync(file, { force: true })
      if (!isLaunchd(options)) manage(['systemctl', ...(options.system === true ? [] : ['--user']), 'daemon-reload'])
      print(environment, options, { removed: file }, ({ removed }) => `Removed ${removed}; the home stays.`)
    })
}

const isLaunchd = ({ launchd = false }: ServiceCommandOptions): boolean => launchd || process.platform === 'darwin'

function install(environment: Environment, options: ServiceCommandOptions): void {
  if (options.passphraseStdin === true) throw new UsageError('a service has no input: use --passphrase-file')
  const text = textOf(environment, options)
  if (options.print === true) {
    environment.terminal.out(text)
    return
  }
  const { file, install } = placeOf(options)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text, { mode: 0o644 })
  for (const command of install) manage(command)
  print(environment, options, { installed: file }, ({ installed }) => `Installed ${installed} and started it.`)
}

function textOf({ wiring }: Environment, options: ServiceCommandOptions): string {
  const service = {
    command: wiring.command,
    home: options.system === true ? `/var/lib/${serviceName}/home` : homeDirectory(options.home),
    config: options.config === undefined ? undefined : resolve(options.config),
    passphraseFile: options.passphraseFile === undefined ? undefined : resolve(options.passphraseFile),
  }
  if (options.system === true && isLaunchd(options)) throw new UsageError('--system is for systemd')
  if (isLaunchd(options)) return launchAgent(service)
  return options.system === true ? systemUnit(service) : userUnit(service)
}

function placeOf(options: ServiceCommandOptions): Place {
  if (isLaunchd(options)) {
    const file = join(homedir(), 'Library', 'LaunchAgents', `${launchLabel}.plist`)
    const domain = `gui/${process.getuid?.() ?? 0}`
    return {
      file,
      install: [['launchctl', 'bootstrap', domain, file]],
      uninstall: [['launchctl', 'bootout', `${domain}/${launchLabel}`]],
    }
  }
  if (process.platform !== 'linux') throw new UsageError('services are known for systemd and launchd only')
  const manager = options.system === true ? ['systemctl'] : ['systemctl', '--user']
  const folder = options.system === true ? '/etc/systemd/system' : join(homedir(), '.config', 'systemd', 'user')
  return {
    file: join(folder, `${serviceName}.service`),
    install: [
      [...manager, 'daemon-reload'],
      [...manager, 'enable', '--now', serviceName],
    ],
    uninstall: [[...manager, 'disable', '--now', serviceName]],
  }
}

/** @throws what the service manager says */
function manage(command: readonly string[]): void {
  const failure = attempt(command)
  if (failure !== undefined) throw new Error(`${command.join(' ')}: ${failure}`)
}

/** @returns the first line of what it complains about */
function attempt([program, ...args]: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(program!, args, { encoding: 'utf8' })
  if (status === 0) return undefined
  return error?.message ?? (stderr.trim().split('\n')[0] || `ended with ${status}`)
}

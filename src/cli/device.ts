/** `device`: several devices of one account, each with keys of its own. */
import type { Command } from 'commander'
import { toString as qrText } from 'qrcode'
import { homeDirectory, loadConfig } from '../config.ts'
import type { OperationContext, Operations, Results } from '../core/control.ts'
import type { DeviceView } from '../core/control-views.ts'
import { connectControl } from './client.ts'
import {
  type CommonOptions,
  type Environment,
  print,
  readNewPassphrase,
  readPassphrase,
  withCommon,
  withOperations,
} from './context.ts'
import { UsageError } from './errors.ts'
import { printable, table, time } from './format.ts'
import { sinceText } from './reach-text.ts'

interface DeviceOptions extends CommonOptions {
  readonly account?: string
  readonly same?: boolean
  readonly different?: boolean
}
interface LinkOptions extends DeviceOptions {
  readonly digits?: boolean
}
interface JoinOptions extends DeviceOptions {
  readonly name?: string
  readonly config?: string
  readonly set?: readonly string[]
}

const compareText = (digits: string): string =>
  `\n    ${digits}\n\nThe other device shows digits too. Compare all of them.\n`
const question = 'Does the other device show exactly the same digits? (yes/no) '
const isYes = (said: string): boolean => /^y(es)?$/i.test(said.trim())

export function addDevice(program: Command, environment: Environment): void {
  const device = program.command('device').description('Devices of an account: link another one, list, cut one off.')
  const verb = (usage: string, description: string): Command =>
    withCommon(device.command(usage)).description(description)
  const account = ['--account <account>', 'account, where there are several'] as const
  const sides = (command: Command): Command =>
    command
      .option('--same', 'both devices show the same digits')
      .option('--different', 'the two devices show different digits')

  sides(verb('link', 'Makes a link for one new device, and lets it in once both show the same digits.'))
    .option(...account)
    .option('--digits', 'wait for the new device and show the digits; for scripts, between link and --same')
    .action(async (options: LinkOptions) => await link(environment, options))

  sides(verb('join [link]', 'Joins an account as another device of it, with a link that device link has made.'))
    .option('--name <name>', 'what this device is called (default: the host’s name)')
    .option('--config <file>', 'configuration, where the gateway is not running yet')
    .option('--set <key=value>', 'set one key of it; repeatable', collect, [])
    .action(async (given: string | undefined, options: JoinOptions) => await join(environment, given, options))

  verb('list', 'Lists the devices of an account.')
    .option(...account)
    .action(async (options: DeviceOptions) => {
      const devices = await withOperations(environment, options, (operations, context) =>
        operations.deviceList({ account: options.account }, context),
      )
      print(environment, options, devices, devicesText)
    })

  verb('revoke <device>', 'Cuts a device off from everything that comes after: name it, or the beginning of its id.')
    .option(...account)
    .option('--words-stdin', 'read the 24 recovery words from standard input: for a device that is older than this one')
    .action(async (which: string, options: DeviceOptions & { readonly wordsStdin?: boolean }) => {
      const words = options.wordsStdin === true ? { words: await environment.terminal.readStdin() } : {}
      const revoked = await withOperations(environment, options, (operations, context) =>
        operations.deviceRevoke({ account: options.account, device: which, ...words }, context),
      )
      print(environment, options, revoked, (view) =>
        [
          `${nameOf(view)} is cut off. Devices and contacts hear of it when they are connected next.`,
          'What it has already it keeps: if it was stolen, treat its mail as read.',
        ].join('\n'),
      )
    })

  verb('rename <device> <name>', 'Gives a device another name, on this device.')
    .option(...account)
    .action(async (which: string, name: string, options: DeviceOptions) => {
      const view = await withOperations(environment, options, (operations, context) =>
        operations.deviceRename({ account: options.account, device: which, name }, context),
      )
      print(environment, options, view, (renamed) => `${renamed.id.slice(0, 8)} is ${printable(renamed.name)} now.`)
    })
}

const collect = (value: string, earlier: readonly string[]): readonly string[] => [...earlier, value]

/** What was said by an option; `undefined` where the person is still to be asked. */
function saidBy({ same, different }: DeviceOptions): boolean | undefined {
  if (same === true && different === true) throw new UsageError('--same or --different, not both')
  return same === true ? true : different === true ? false : undefined
}

async function link(environment: Environment, options: LinkOptions): Promise<void> {
  const { terminal } = environment
  const { account } = options
  const said = saidBy(options)
  const isAsked = terminal.interactive && options.json !== true
  await withOperations(environment, options, async (operations, context) => {
    if (said !== undefined)
      return await linked(environment, options, operations.deviceLinkEnd({ account, same: said }, context))
    if (options.digits !== true) {
      const made = await operations.deviceLink({ account }, context)
      const qr = await qrText(made.link, { type: 'utf8', errorCorrectionLevel: 'L' })
      print(environment, options, { ...made, qr }, () =>
        [
          qr,
          made.link,
          '',
          `On the new device, until ${time(made.expiresAtMs)}: mycelium-gateway device join LINK`,
        ].join('\n'),
      )
      if (!isAsked) return
    }
    if (isAsked) terminal.err('Waiting for the new device …\n')
    const shown = await operations.deviceLinkDigits({ account }, context)
    if (!isAsked) return print(environment, options, shown, ({ digits, name }) => `${printable(name)}: ${digits}`)
    terminal.err(`${printable(shown.name)} wants to join.\n${compareText(shown.digits)}`)
    const same = isYes(await terminal.ask(question))
    await linked(environment, options, operations.deviceLinkEnd({ account, same }, context))
  })
}

async function linked(environment: Environment, options: DeviceOptions, ending: Promise<DeviceView>): Promise<void> {
  print(environment, options, await ending, (view) => `${nameOf(view)} is a device of this account now.`)
}

async function join(environment: Environment, given: string | undefined, options: JoinOptions): Promise<void> {
  const { terminal } = environment
  const said = saidBy(options)
  if ((given === undefined) === (said === undefined))
    throw new UsageError('give the link, or afterwards --same or --different')
  const isAsked = terminal.interactive && options.json !== true
  await withRunning(environment, options, isAsked, async (operations, context) => {
    if (said !== undefined) return await joined(environment, options, operations.deviceJoinEnd({ same: said }, context))
    const name = options.name === undefined ? {} : { name: options.name }
    const shown = await operations.deviceJoin({ link: given!, ...name }, context)
    if (!isAsked) return print(environment, options, shown, ({ digits, address }) => `${printable(address)}: ${digits}`)
    terminal.err(`Joining ${printable(shown.address)}.\n${compareText(shown.digits)}`)
    const same = isYes(await terminal.ask(question))
    if (same) terminal.err('Waiting for the other device …\n')
    await joined(environment, options, operations.deviceJoinEnd({ same }, context))
  })
}

async function joined(
  environment: Environment,
  options: DeviceOptions,
  ending: Promise<Results['deviceJoinEnd']>,
): Promise<void> {
  print(environment, options, await ending, ({ address, localName, appPassword }) =>
    [
      `This is a device of ${printable(address)} now. Its mail comes over while both run; start this one with: run`,
      `User          ${localName}`,
      `App password  ${appPassword}   (for mail programs on this device; more with: password add)`,
    ].join('\n'),
  )
}

/**
 * On the running gateway; else, where a person is there to compare digits, on one that runs for as long as it takes, in a
 * home that is made without an account where there is none.
 */
async function withRunning(
  environment: Environment,
  options: JoinOptions,
  mayStart: boolean,
  use: (operations: Operations, context: OperationContext) => Promise<void>,
): Promise<void> {
  const { wiring, terminal } = environment
  const home = homeDirectory(options.home)
  const running = await connectControl(wiring.controlSocket(home))
  await running?.[Symbol.asyncDispose]()
  if (running !== undefined || !mayStart) return await withOperations(environment, options, use)
  const state = wiring.inspect(home)
  let passphrase: string | undefined
  if (state.kind === 'nothing') {
    passphrase = await readNewPassphrase(terminal, options)
    await wiring.createEmptyHome(home, passphrase)
  } else if (state.keyStore === 'passphrase') passphrase = await readPassphrase(terminal, options)
  const config = loadConfig({ file: options.config, portsAuto: false, set: options.set ?? [] })
  await using gateway = await wiring.start(home, config, passphrase)
  await use(gateway.operations, { signal: terminal.stop, progress: () => {} })
}

const nameOf = ({ id, name }: DeviceView): string => (name === '' ? `Device ${id.slice(0, 8)}` : printable(name))

function devicesText(devices: readonly DeviceView[]): string {
  const nowMs = Date.now()
  return table(
    ['ID', 'NAME', 'STATE', 'SINCE', 'SEEN'],
    devices.map(({ id, name, isThis, state, addedAtMs, connected, lastSeenMs }) => [
      id.slice(0, 16),
      name === '' ? '–' : name,
      isThis ? `${state} (this one)` : state,
      time(addedAtMs),
      isThis || connected === true ? 'now' : lastSeenMs === undefined ? '–' : `${sinceText(lastSeenMs, nowMs)} ago`,
    ]),
  )
}

/** `init`: a new home with one account; the words and the first app password are shown this once. */
import type { Command } from 'commander'
import { homeDirectory } from '../config.ts'
import type { NewAccount } from '../core/control-views.ts'
import { type CommonOptions, type Environment, print, readNewPassphrase, withCommon } from './context.ts'

interface InitOptions extends CommonOptions {
  readonly account: boolean
  readonly address?: string
  readonly displayName?: string
  readonly serviceDomain?: string
  readonly askPassphrase?: boolean
}

export function addInit(program: Command, environment: Environment): void {
  withCommon(program.command('init'))
    .summary('create a home with one account')
    .description('Creates a home with one account. Shows the recovery words and the first app password this once.')
    .option('--address <name@domain>', 'the account’s address (default: <login name>@<own zone key>.myc)')
    .option('--display-name <name>', 'name shown beside the address')
    .option('--service-domain <domain>', 'domain of your ids on chat protocols (default: localhost)')
    .option('--no-account', 'without an account: for a gateway that joins one with device join')
    .option('--ask-passphrase', 'protect the key store with a passphrase, asked for on the terminal')
    .action(async (options: InitOptions) => {
      const passphrase = await readNewPassphrase(environment.terminal, options)
      if (!options.account) {
        await environment.wiring.createEmptyHome(homeDirectory(options.home), passphrase)
        print(environment, options, { created: true }, () => 'A home without an account. Now: device join LINK')
        return
      }
      const created = await environment.wiring.createHome(homeDirectory(options.home), {
        address: options.address,
        displayName: options.displayName,
        serviceDomain: options.serviceDomain,
        passphrase,
        keepWords: false,
      })
      print(environment, options, created, newAccountText)
    })
}

export function newAccountText({ address, fingerprint, mnemonic, appPassword }: NewAccount): string {
  const words = mnemonic.split(' ')
  const rows = Array.from({ length: Math.ceil(words.length / 6) }, (_, row) =>
    words
      .slice(row * 6, row * 6 + 6)
      .map((word, column) => `${String(row * 6 + column + 1).padStart(2)} ${word.padEnd(9)}`)
      .join(''),
  )
  return [
    `Address       ${address}`,
    `Fingerprint   ${fingerprint}`,
    `App password  ${appPassword}   (for your mail program; more with: password add)`,
    '',
    'Recovery words. Write them down on paper; they alone bring this identity back:',
    ...rows.map((row) => `  ${row.trimEnd()}`),
    '',
    'Then run: recovery confirm',
  ].join('\n')
}

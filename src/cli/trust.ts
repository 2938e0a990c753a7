/** `trust export`: the local certificate authority, and where each system takes it. Nothing is installed silently. */
import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { time } from './format.ts'

export function addTrust(program: Command, environment: Environment): void {
  const trust = program.command('trust').description('The local certificate authority.')

  withCommon(trust.command('export'))
    .description('Prints the authority’s certificate (PEM), or writes it to a file with instructions.')
    .option('--out <file>', 'write the certificate here')
    .action(async (options: CommonOptions & { out?: string }) => {
      const exported = await withOperations(environment, options, (operations, context) =>
        operations.trustExport({}, context),
      )
      if (options.out !== undefined) writeFileSync(options.out, exported.certificate)
      const where = options.out ?? 'ca.crt'
      print(environment, options, exported, ({ certificate }) =>
        options.out === undefined ? certificate : `Written to ${where}.`,
      )
      if (options.json !== true) {
        environment.terminal.err(`${instructions(where, exported.fingerprint, exported.notAfterMs)}\n`)
      }
    })
}

function instructions(file: string, fingerprint: string, notAfterMs: number): string {
  return [
    '',
    `SHA-256 ${fingerprint}`,
    `Good until ${time(notAfterMs)}; it can vouch for this machine's own names only.`,
    '',
    `  Thunderbird   Settings, Privacy & Security, Manage Certificates, Authorities, Import ${file}, "identify websites"`,
    `  Apple Mail    open http://localhost:8008/apple.mobileconfig?address=YOUR-ADDRESS, then approve the profile in`,
    `                System Settings, General, Device Management (certificate and account in one)`,
    `  mutt, mbsync  set certificate_file / CertificateFile to ${file}`,
    `  Debian        sudo cp ${file} /usr/local/share/ca-certificates/mycelium-gateway.crt && sudo update-ca-certificates`,
    `  macOS         security add-trusted-cert -r trustRoot -p ssl -k ~/Library/Keychains/login.keychain-db ${file}`,
  ].join('\n')
}

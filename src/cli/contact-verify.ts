/** `contact verify`: by the 60 digits compared in person, or by a text that both sides see at the same time. */
import type { Results } from '../core/control.ts'
import { contactText } from './contact-text.ts'
import { type CommonOptions, type Environment, print, withOperations } from './context.ts'
import { UsageError } from './errors.ts'

interface VerifyOptions extends CommonOptions {
  readonly account?: string
  readonly same?: boolean
  readonly different?: boolean
}

export async function verifyContact(
  environment: Environment,
  contact: string,
  digits: readonly string[],
  options: VerifyOptions,
): Promise<void> {
  if (digits.length > 0) return await byDigits(environment, contact, digits.join(' '), options)
  if (options.same === true && options.different === true) throw new UsageError('--same or --different, not both')
  if (options.same === true || options.different === true) {
    return await end(environment, contact, options.same === true, options)
  }
  const { text, expiresAtMs } = await withOperations(environment, options, (operations, context) => {
    environment.terminal.err(`Waiting for the other side’s gateway …\n`)
    return operations.contactConfirmStart({ account: options.account, contact }, context)
  })
  if (!environment.terminal.interactive || options.json === true) {
    print(environment, options, { text, expiresAtMs }, () => text)
    return
  }
  environment.terminal.err(`\n    ${text}\n\nRead it to each other by voice or in person.\n`)
  const said = await environment.terminal.ask('Does the other side see exactly the same? (yes/no) ')
  await end(environment, contact, /^y(es)?$/i.test(said.trim()), options)
}

async function byDigits(
  environment: Environment,
  contact: string,
  digits: string,
  options: VerifyOptions,
): Promise<void> {
  if (digits.replaceAll(/\s/g, '').length !== 60 || !/^[\d\s]+$/.test(digits)) {
    throw new UsageError('the fingerprint has 60 digits')
  }
  const view = await withOperations(environment, options, (operations, context) =>
    operations.contactVerify({ account: options.account, contact, digits }, context),
  )
  print(environment, options, view, (view) => `Verified.\n${contactText(view)}`)
}

async function end(environment: Environment, contact: string, same: boolean, options: VerifyOptions): Promise<void> {
  const result = await withOperations(environment, options, (operations, context) =>
    operations.contactConfirmEnd({ account: options.account, contact, same }, context),
  )
  print(environment, options, result, ({ state, contact }) => `${said[state]}\n${contactText(contact)}`)
}

const said: Record<Results['contactConfirmEnd']['state'], string> = {
  confirmed: 'Verified by both sides.',
  'waiting-for-other': 'Noted; verified as soon as the other side says the same.',
  refused: 'Not verified: somebody may be in between. Compare the 60 digits in person.',
}

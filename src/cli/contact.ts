/** `contact`: people this account knows, and people who ask. */
import type { Command } from 'commander'
import type { Params } from '../core/control.ts'
import type { ContactRequestView, ContactView } from '../core/control-views.ts'
import { contactText } from './contact-text.ts'
import { verifyContact } from './contact-verify.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { printable, shortAddress, table } from './format.ts'
import { reachText, sinceText } from './reach-text.ts'

type ContactOptions = CommonOptions & { readonly account?: string }

export function addContact(program: Command, environment: Environment): void {
  const contact = program.command('contact').description('People this account knows.')
  const verb = (usage: string, description: string): Command =>
    withCommon(contact.command(usage)).description(description).option('--account <account>', 'where there are several')

  verb('list', 'Lists contacts, and how each is reached.').action(async (options: ContactOptions) => {
    const contacts = await withOperations(environment, options, (operations, context) =>
      operations.contactList({ account: options.account }, context),
    )
    print(environment, options, contacts, contactsText)
  })

  const simple = {
    show: ['contactShow', 'Shows one contact with fingerprint and addresses.'],
    block: ['contactBlock', 'Refuses everything from a contact, or from somebody who asks to be one.'],
    unblock: ['contactUnblock', 'Ends what block did.'],
    accept: ['contactAccept', 'Accepts a contact request: what they write from now on goes to the inbox.'],
  } as const
  for (const [name, [operation, description]] of Object.entries(simple)) {
    verb(`${name} <contact>`, description).action(async (who: string, options: ContactOptions) => {
      const params: Params<'contactShow'> = { account: options.account, contact: who }
      const view = await withOperations(environment, options, (operations, context) =>
        operations[operation](params, context),
      )
      print(environment, options, view, contactText)
    })
  }

  verb('rename <contact> <name>', 'Gives a contact a name of your own.').action(
    async (who: string, name: string, options: ContactOptions) => {
      const view = await withOperations(environment, options, (operations, context) =>
        operations.contactRename({ account: options.account, contact: who, name }, context),
      )
      print(environment, options, view, contactText)
    },
  )

  verb('remove <contact>', 'Removes a contact; mail already here stays.').action(
    async (who: string, options: ContactOptions) => {
      const removed = await withOperations(environment, options, (operations, context) =>
        operations.contactRemove({ account: options.account, contact: who }, context),
      )
      print(environment, options, removed, ({ removed }) => `Removed ${printable(removed)}.`)
    },
  )

  verb('requests', 'Lists people who wrote without being a contact.').action(async (options: ContactOptions) => {
    const requests = await withOperations(environment, options, (operations, context) =>
      operations.contactRequests({ account: options.account }, context),
    )
    print(environment, options, requests, requestsText)
  })

  verb('verify <contact> [digits...]', 'Verifies a contact: by its 60 digits, or else by an online confirmation.')
    .option('--same', 'both sides saw the same text')
    .option('--different', 'the two sides saw different texts')
    .action(async (who: string, digits: readonly string[], options: ContactOptions) => {
      await verifyContact(environment, who, digits, options)
    })
}

function contactsText(contacts: readonly ContactView[]): string {
  if (contacts.length === 0) return 'No contacts yet: invite create, or invite accept LINK.'
  const nowMs = Date.now()
  return table(
    ['NAME', 'ADDRESS', 'TRUST', 'STATE', 'REACHED', 'SEEN'],
    contacts.map(({ name, addresses, state, connected, lastSeenMs, reach }) => [
      shortened(name, 16),
      shortAddress(addresses[0]?.address ?? '–', 28),
      addresses[0]?.tier ?? '–',
      state,
      shortened(reachText(reach, nowMs), 28),
      connected ? 'now' : agoText(lastSeenMs, nowMs),
    ]),
  )
}

const shortened = (text: string, charsMax: number): string =>
  text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`
const agoText = (ms: number | undefined, nowMs: number): string =>
  ms === undefined ? '–' : `${sinceText(ms, nowMs)} ago`

function requestsText(requests: readonly ContactRequestView[]): string {
  if (requests.length === 0) return 'Nobody waits to be accepted.'
  const nowMs = Date.now()
  const list = table(
    ['IDENTITY', 'SAYS TO BE', 'SINCE', 'MAILS'],
    requests.map(({ identity, address, receivedAtMs, messages }) => [
      identity.slice(0, 16),
      shortAddress(address, 48),
      agoText(receivedAtMs, nowMs),
      String(messages),
    ]),
  )
  return [
    list,
    '',
    'Their mail is in the folder Requests. contact accept IDENTITY lets one in, contact block IDENTITY',
    'refuses one, who is not told. Who they say to be is their own word.',
  ].join('\n')
}

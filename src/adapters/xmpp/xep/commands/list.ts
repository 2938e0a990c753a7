/** The commands: invitations, contacts and how sure one is of them, groups, and what others are told. */
import type { ContactView, GroupView } from '../../../../core/control-views.ts'
import { readBoolean, writeForm, writeTable } from '../../data-form.ts'
import { type Act, type Command, done, type Step } from './step.ts'

const prefix = 'urn:mycelium:command:'

const invite: Command = {
  node: `${prefix}invite`,
  name: 'Invite somebody',
  async begin(act) {
    const { link, expiresAtMs } = await act('inviteCreate', {})
    const until = new Date(expiresAtMs).toISOString().slice(0, 10)
    const field = { name: 'link', label: 'Invitation', type: 'text-single', values: [link] } as const
    return done(
      `Give this link to one person, by a way that you trust. It is good once, until ${until}.`,
      writeForm('result', { title: 'Invitation', instructions: '', fields: [field] }),
    )
  },
}

const accept: Command = {
  node: `${prefix}accept`,
  name: 'Accept an invitation',
  begin: async (act) =>
    await Promise.resolve({
      kind: 'form',
      form: {
        title: 'Accept an invitation',
        instructions: 'Paste the link that somebody gave you.',
        fields: [{ name: 'link', label: 'Invitation', type: 'text-single', isRequired: true }],
      },
      async next(given) {
        const { address, state } = await act('inviteAccept', { link: (given.get('link') ?? '').trim() })
        return done(
          state === 'active'
            ? `${address} is a contact now.`
            : `${address} will be a contact as soon as their gateway can be reached; what you write waits until then.`,
        )
      },
    }),
}

const chosen = ({ state }: ContactView): boolean => state !== 'request' && state !== 'fellow'
const addressOf = ({ addresses, name }: ContactView): string => addresses[0]?.address ?? name
const tierOf = ({ addresses }: ContactView): string => addresses[0]?.tier ?? ''
const asOption = (contact: ContactView): readonly [string, string] => [
  contact.identity,
  `${contact.name} (${addressOf(contact)})`,
]

const verify: Command = {
  node: `${prefix}verify`,
  name: 'Verify a contact',
  async begin(act) {
    const contacts = (await act('contactList', {})).filter(chosen)
    if (contacts.length === 0) return done('There are no contacts yet.')
    const { fingerprint } = await act('accountShow', {})
    return {
      kind: 'form',
      form: {
        title: 'Verify a contact',
        instructions:
          'Meet, or call somebody whose voice you know. Read your digits to them, and type the digits that they read to you from their program.',
        fields: [
          { name: 'own', label: 'Your digits', type: 'fixed', values: [`Your digits: ${fingerprint}`] },
          {
            name: 'contact',
            label: 'Contact',
            type: 'list-single',
            isRequired: true,
            options: contacts.map(asOption),
          },
          { name: 'digits', label: 'Their 60 digits', type: 'text-single', isRequired: true },
        ],
      },
      async next(given) {
        const named = { contact: given.get('contact') ?? '', digits: given.get('digits') ?? '' }
        const contact = await act('contactVerify', named)
        return done(`These are the digits of ${contact.name}: the contact is verified.`)
      },
    }
  },
}

/** What can be done with one of them. */
const contactDeeds = [
  ['show', 'Only show them'],
  ['rename', 'Rename'],
  ['accept', 'Accept a request'],
  ['block', 'Block'],
  ['unblock', 'Unblock'],
  ['remove', 'Remove'],
] as const

const contacts: Command = {
  node: `${prefix}contacts`,
  name: 'Contacts',
  async begin(act) {
    const [list, requests] = await Promise.all([act('contactList', {}), act('contactRequests', {})])
    const asked = requests.map(({ identity, address }) => [identity, `${address} (asks)`] as const)
    if (list.length + asked.length === 0) return done('There are no contacts yet: invite somebody.')
    return {
      kind: 'form',
      form: {
        title: 'Contacts',
        instructions: 'See all of them, or choose one and what to do.',
        fields: [
          {
            name: 'deed',
            label: 'What to do',
            type: 'list-single',
            values: ['show'],
            options: contactDeeds,
          },
          { name: 'contact', label: 'Contact', type: 'list-single', options: [...list.map(asOption), ...asked] },
          { name: 'name', label: 'New name', type: 'text-single' },
        ],
      },
      async next(given) {
        const contact = given.get('contact') ?? ''
        switch (given.get('deed') ?? '') {
          case 'rename':
            return done(`Now called ${(await act('contactRename', { contact, name: given.get('name') ?? '' })).name}.`)
          case 'accept':
            return done(`${(await act('contactAccept', { contact })).name} is a contact now.`)
          case 'block':
            return done(`${(await act('contactBlock', { contact })).name} is blocked.`)
          case 'unblock':
            return done(`${(await act('contactUnblock', { contact })).name} is not blocked any more.`)
          case 'remove':
            return done(`${(await act('contactRemove', { contact })).removed} is removed.`)
          default:
            return await contactTable(act)
        }
      },
    }
  },
}

async function contactTable(act: Act): Promise<Step> {
  const columns = [
    ['name', 'Name'],
    ['address', 'Address'],
    ['tier', 'How sure'],
    ['state', 'State'],
  ] as const
  const list = await act('contactList', {})
  const rows = list.map((contact) => [contact.name, addressOf(contact), tierOf(contact), contact.state])
  return done(`${rows.length} contacts`, writeTable('Contacts', columns, rows))
}

const groupDeeds = [
  ['show', 'Only show them'],
  ['create', 'Make a new one'],
  ['add', 'Add a contact'],
  ['accept', 'Take part where somebody added you'],
  ['leave', 'Leave'],
] as const

const groups: Command = {
  node: `${prefix}groups`,
  name: 'Groups',
  async begin(act) {
    const [list, people] = await Promise.all([act('groupList', {}), act('contactList', {})])
    const options = list.filter(({ state }) => state !== 'left').map(({ group, name }) => [group, name] as const)
    return {
      kind: 'form',
      form: {
        title: 'Groups',
        instructions: 'See all of them, or choose what to do.',
        fields: [
          { name: 'deed', label: 'What to do', type: 'list-single', values: ['show'], options: groupDeeds },
          { name: 'group', label: 'Group', type: 'list-single', options },
          { name: 'contact', label: 'Contact', type: 'list-single', options: people.filter(chosen).map(asOption) },
          { name: 'name', label: 'Name of a new one', type: 'text-single' },
        ],
      },
      async next(given) {
        const group = given.get('group') ?? ''
        const members = (given.get('contact') ?? '') === '' ? [] : [given.get('contact')!]
        switch (given.get('deed') ?? '') {
          case 'create':
            return done(`${(await act('groupCreate', { name: given.get('name') ?? '', members })).name} is made.`)
          case 'add':
            return done(`${(await act('groupInvite', { group, members })).name} has a new member.`)
          case 'accept':
            return done(`You are in ${(await act('groupAccept', { group })).name} now.`)
          case 'leave':
            return done(`You have left ${(await act('groupLeave', { group })).name}.`)
          default:
            return groupTable(await act('groupList', {}))
        }
      },
    }
  },
}

function groupTable(list: readonly GroupView[]): Step {
  const columns = [
    ['name', 'Name'],
    ['members', 'Members'],
    ['state', 'State'],
    ['address', 'Address for mail'],
  ] as const
  const rows = list.map(({ name, members, state, address }) => [name, String(members.length), state, address])
  return done(`${rows.length} groups`, writeTable('Groups', columns, rows))
}

const settings: Command = {
  node: `${prefix}settings`,
  name: 'Settings',
  async begin(act) {
    const { readReceipts, presence, inInbox } = await act('chatSettings', {})
    const boolean = (name: string, label: string, value: boolean) =>
      ({ name, label, type: 'boolean', values: [value ? '1' : '0'] }) as const
    return {
      kind: 'form',
      form: {
        title: 'Settings',
        instructions: '',
        fields: [
          boolean('readReceipts', 'Contacts see what you have read', readReceipts),
          boolean('presence', 'Contacts see whether you are there, and that you type', presence),
          boolean('inInbox', 'Mail programs show chats in the inbox', inInbox),
        ],
      },
      async next(given) {
        await act('chatSettings', {
          readReceipts: readBoolean(given.get('readReceipts')),
          presence: readBoolean(given.get('presence')),
          inInbox: readBoolean(given.get('inInbox')),
        })
        return done('The settings are changed.')
      },
    }
  },
}

export const commandList: readonly Command[] = [invite, accept, verify, contacts, groups, settings]

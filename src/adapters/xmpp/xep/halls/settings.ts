/** How a hall is set up (XEP-0045 §10.2): what its owner is asked in a form, and what the answer makes of it. */
import { limits } from '../../../../core/limits.ts'
import { fromUtf8 } from '../../../../core/bytes.ts'
import { type Field, type Given, readBoolean } from '../../data-form.ts'
import { StanzaError } from '../../stanza-error.ts'

export const whisperers = ['anyone', 'participants', 'moderators', 'none'] as const

export interface Settings {
  readonly name: string
  readonly description: string
  /** Found by everybody, with its occupants. */
  readonly isPublic: boolean
  readonly isForMembers: boolean
  /** Only who was given voice speaks. */
  readonly isModerated: boolean
  /** Empty where none is asked for. */
  readonly password: string
  /** Who sees the JIDs of occupants. */
  readonly whois: 'moderators' | 'anyone'
  readonly occupantsMax: number
  /** Occupants with voice may give it another subject. */
  readonly isSubjectFree: boolean
  /** Occupants may invite, and by that admit, where it is for members. */
  readonly mayInvite: boolean
  /** Who may say something to one occupant alone. */
  readonly whisper: (typeof whisperers)[number]
}

/** All are of one gateway: they find each other's rooms and see who is who there, unless somebody wants it otherwise. */
export const settingsAtFirst = (name: string): Settings => ({
  name,
  description: '',
  isPublic: true,
  isForMembers: false,
  isModerated: false,
  password: '',
  whois: 'anyone',
  occupantsMax: limits.xmppHallOccupantsMax,
  isSubjectFree: false,
  mayInvite: true,
  whisper: 'anyone',
})

const roomConfig = 'muc#roomconfig_'
const hallFormType = 'http://jabber.org/protocol/muc#roomconfig'
export const adminsField = `${roomConfig}roomadmins`
export const ownersField = `${roomConfig}roomowners`

const switches = [
  ['publicroom', 'Others can find it', 'isPublic'],
  ['membersonly', 'For members only', 'isForMembers'],
  ['moderatedroom', 'Only who was given voice speaks', 'isModerated'],
  ['changesubject', 'Everybody who speaks may change the subject', 'isSubjectFree'],
  ['allowinvites', 'Everybody in it may invite', 'mayInvite'],
] as const

const written = (isOn: boolean): string => (isOn ? '1' : '0')

const counts = [10, 20, 50, 100, 200, limits.xmppHallOccupantsMax]

/** @param people JIDs of owners and admins, which the form can change too (XEP-0045 §10.2) */
export function fieldsOf(
  settings: Settings,
  { owners, admins }: { readonly owners: readonly string[]; readonly admins: readonly string[] },
): readonly Field[] {
  const { name, description, password, whois, occupantsMax, whisper } = settings
  return [
    { name: 'FORM_TYPE', label: '', type: 'hidden', values: [hallFormType] },
    { name: `${roomConfig}roomname`, label: 'Name', type: 'text-single', values: [name] },
    { name: `${roomConfig}roomdesc`, label: 'Description', type: 'text-single', values: [description] },
    ...switches.map(([field, label, key]): Field => ({
      name: roomConfig + field,
      label,
      type: 'boolean',
      values: [written(settings[key])],
    })),
    {
      name: `${roomConfig}passwordprotectedroom`,
      label: 'A password is asked for',
      type: 'boolean',
      values: [written(password !== '')],
    },
    { name: `${roomConfig}roomsecret`, label: 'Password', type: 'text-private', values: [password] },
    {
      name: `${roomConfig}whois`,
      label: 'Who sees the addresses of those in it',
      type: 'list-single',
      values: [whois],
      options: [
        ['moderators', 'Moderators'],
        ['anyone', 'Everybody in it'],
      ],
    },
    {
      name: `${roomConfig}maxusers`,
      label: 'At most so many in it',
      type: 'list-single',
      values: [String(occupantsMax)],
      options: [...new Set([...counts, occupantsMax])].toSorted((a, b) => a - b).map((one) => [`${one}`, `${one}`]),
    },
    {
      name: `${roomConfig}allowpm`,
      label: 'Who may speak to one alone',
      type: 'list-single',
      values: [whisper],
      options: [
        ['anyone', 'Everybody'],
        ['participants', 'Who has voice'],
        ['moderators', 'Moderators'],
        ['none', 'Nobody'],
      ],
    },
    { name: adminsField, label: 'Admins', type: 'jid-multi', values: admins },
    { name: ownersField, label: 'Owners', type: 'jid-multi', values: owners },
  ]
}

/** @throws StanzaError `not-acceptable`: nothing of the form is done then (XEP-0045 §10.1.3) */
export function changed(before: Settings, given: Given): Settings {
  const text = (field: string, was: string): string => {
    const value = given.get(roomConfig + field) ?? was
    if (fromUtf8(value).length > limits.xmppHallTextOctetsMax) throw notAcceptable(`${field} is too long`)
    return value
  }
  const isOn = (field: string, was: boolean): boolean => {
    const value = given.get(roomConfig + field)
    const read = value === undefined ? was : readBoolean(value)
    if (read === undefined) throw notAcceptable(`${field} is 1 or 0`)
    return read
  }
  const one = <T extends string>(field: string, was: T, known: readonly T[]): T => {
    const value = given.get(roomConfig + field)
    const found = value === undefined ? was : known.find((it) => it === value)
    if (found === undefined) throw notAcceptable(`${field} is one of ${known.join(', ')}`)
    return found
  }
  const secret = text('roomsecret', before.password)
  const isProtected = isOn('passwordprotectedroom', before.password !== '')
  if (isProtected && secret === '') throw notAcceptable('the password is missing')
  return {
    name: text('roomname', before.name),
    description: text('roomdesc', before.description),
    ...(Object.fromEntries(switches.map(([field, , key]) => [key, isOn(field, before[key])])) as Record<
      (typeof switches)[number][2],
      boolean
    >),
    password: isProtected ? secret : '',
    whois: one('whois', before.whois, ['moderators', 'anyone']),
    occupantsMax: countOf(given.get(`${roomConfig}maxusers`), before.occupantsMax),
    whisper: one('allowpm', before.whisper, whisperers),
  }
}

function countOf(text: string | undefined, before: number): number {
  if (text === undefined) return before
  // XEP-0045 §15.5.3: without a limit of its own
  if (text === '' || text === 'none') return limits.xmppHallOccupantsMax
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (count < 1) throw notAcceptable('maxusers is a number')
  return Math.min(count, limits.xmppHallOccupantsMax)
}

const notAcceptable = (text: string): StanzaError => new StanzaError('not-acceptable', text)

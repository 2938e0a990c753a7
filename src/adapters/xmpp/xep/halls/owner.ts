/** How an owner sets up a hall, and ends it (XEP-0045 §10.1, §10.2, §10.9). */
import { child, childText, el, type Element } from '../../element.ts'
import { formNs, readForm, writeForm } from '../../data-form.ts'
import type { Iq } from '../../feature.ts'
import { StanzaError } from '../../stanza-error.ts'
import { mucOwner, mucUser } from '../muc/namespaces.ts'
import { type Change, checkOwnerLeft, setAffiliation } from './admin.ts'
import { clear, remove } from './leaving.ts'
import { type Affiliation, type Hall, status } from './hall.ts'
import { bareJid, hallAt, type HallParts, ownJid } from './parts.ts'
import { adminsField, changed, fieldsOf, ownersField, type Settings } from './settings.ts'

/** @throws StanzaError */
function ownHall(parts: HallParts, { client, to }: Iq): Hall {
  const hall = hallAt(parts, to)
  if (hall.affiliationOf(ownJid(parts, client.account)) !== 'owner')
    throw new StanzaError('forbidden', 'only owners do that')
  return hall
}

const jidsOf = (hall: Hall, affiliation: Affiliation): readonly string[] =>
  hall.affiliated(affiliation).map(([jid]) => jid)

/** @throws StanzaError */
export function configuration(parts: HallParts, iq: Iq): Element {
  const hall = ownHall(parts, iq)
  const people = { owners: jidsOf(hall, 'owner'), admins: jidsOf(hall, 'admin') }
  const form = { title: hall.settings.name, instructions: '', fields: fieldsOf(hall.settings, people) }
  return el(`query ${mucOwner}`, {}, writeForm('form', form))
}

/** @throws StanzaError */
export function configure(parts: HallParts, iq: Iq): undefined {
  const hall = ownHall(parts, iq)
  const destroy = child(iq.payload, `destroy ${mucOwner}`)
  if (destroy !== undefined) return clear(parts, hall, inUser(destroy)) as undefined
  const type = child(iq.payload, `x ${formNs}`)?.attrs.type
  if (type === 'cancel') {
    // §10.1.3: it was never set up
    if (hall.isLocked) clear(parts, hall, el(`destroy ${mucUser}`))
    return undefined
  }
  const given = readForm(iq.payload)
  if (given === undefined) throw new StanzaError('bad-request', 'a form, or that the room is to be destroyed')
  const settings = changed(hall.settings, given)
  const changes = changesIn(hall, given)
  checkOwnerLeft(hall, changes)
  const before = hall.settings
  hall.settings = settings
  const actor = hall.of(iq.client)?.nick
  for (const change of changes) setAffiliation(parts, hall, change, actor)
  if (!hall.isLocked) tellChanges(parts, hall, before)
  hall.isLocked = false
  return undefined
}

const inUser = (destroy: Element): Element =>
  el(
    `destroy ${mucUser}`,
    { jid: destroy.attrs.jid },
    ...['password', 'reason'].map((name) => {
      const text = childText(destroy, name)
      return text === undefined ? undefined : el(`${name} ${mucUser}`, {}, text)
    }),
  )

/** Owners and admins as the form has them: who is not in it any more is a member or nothing (§10.2). */
function changesIn(hall: Hall, given: ReadonlyMap<string, string>): readonly Change[] {
  const listed = (field: string, now: Affiliation): readonly string[] => {
    const text = given.get(field)
    if (text === undefined) return jidsOf(hall, now)
    return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [bareJid(line.trim())]))
  }
  const after = new Map<string, Affiliation>([
    ...listed(adminsField, 'admin').map((jid): [string, Affiliation] => [jid, 'admin']),
    ...listed(ownersField, 'owner').map((jid): [string, Affiliation] => [jid, 'owner']),
  ])
  for (const jid of [...jidsOf(hall, 'owner'), ...jidsOf(hall, 'admin')]) if (!after.has(jid)) after.set(jid, 'none')
  return [...after]
    .filter(([jid, to]) => hall.affiliationOf(jid) !== to)
    .map(([jid, to]) => ({ jid, to, nick: undefined, reason: undefined }))
}

/** §10.2.1, and what follows of it for those who are in. */
function tellChanges(parts: HallParts, hall: Hall, before: Settings): void {
  const { settings } = hall
  if (settings.whois !== before.whois)
    hall.tellStatuses(settings.whois === 'anyone' ? status.nowNonAnonymous : status.nowSemiAnonymous)
  hall.tellStatuses(status.configurationChanged)
  if (settings.isForMembers && !before.isForMembers)
    for (const occupant of hall.occupants())
      if (hall.affiliationOf(occupant.jid) === 'none') remove(parts, hall, occupant, { statuses: [status.membersOnly] })
}

/** What clients send to rooms and to those in them (XEP-0045 §7.4 to §7.8, §8.1). */
import { child, childText, type Element } from '../../element.ts'
import type { Stanza } from '../../feature.ts'
import { fullOf } from '../../jid.ts'
import { isChosen } from '../../../../core/account/contact.ts'
import { StanzaError } from '../../stanza-error.ts'
import type { Seat } from './attendance.ts'
import { handleDirect, handleInvitation } from './invitations.ts'
import { muc, mucUser } from './namespaces.ts'
import { occupantOf } from './occupant-iqs.ts'
import { asRoom, type MucParts, roomFor } from './parts.ts'
import type { RoomTalk } from './talk.ts'

/** @throws StanzaError */
export async function handleMessage(parts: MucParts, talk: RoomTalk, message: Stanza): Promise<'done' | 'next'> {
  const { client, to, toNamed, type, element } = message
  if (toNamed.kind === 'person') return (await handleDirect(parts, message)) ? 'done' : 'next'
  if (type === 'error' && to.domain === parts.server.names.rooms) return 'done'
  if (toNamed.kind === 'vacant' || toNamed.kind === 'rooms') throw new StanzaError('item-not-found')
  if (toNamed.kind !== 'room') return 'next'
  if (type === 'groupchat') {
    if (to.resource !== '') throw new StanzaError('bad-request', 'what is for everybody goes to the room itself')
    const seat = parts.attendance.of(client, toNamed.group)
    if (seat === undefined) throw new StanzaError('not-acceptable', 'enter the room first')
    if (isSubject(element)) await rename(parts, message, seat)
    else await talk.say(seat, message)
    return 'done'
  }
  if (to.resource !== '') return await whisper(parts, message)
  if (await handleInvitation(parts, message)) return 'done'
  throw new StanzaError('bad-request', `a message to a room is of type groupchat, or an invitation (${muc})`)
}

/** XEP-0045 §8.1: with a body it is a message. */
const isSubject = (element: Element): boolean =>
  child(element, 'subject') !== undefined &&
  child(element, 'body') === undefined &&
  child(element, 'thread') === undefined

async function rename(parts: MucParts, { client, element, handled }: Stanza, { group, scene }: Seat): Promise<void> {
  const name = childText(element, 'subject')!.trim()
  if (name === '')
    throw new StanzaError('not-acceptable', 'the subject is the name of the group, which has to have one')
  if (name === scene.name) return
  const { groups, store } = parts.server.services
  await asRoom(
    async () =>
      await store.write((tx) => {
        groups.renameIn(tx, client.account, group, name)
        handled(tx)
      }),
  )
}

/** To one occupant: what is said to a contact is said outside the room, where it is kept (XEP-0045 §7.5). */
async function whisper(parts: MucParts, message: Stanza): Promise<'done'> {
  const { client, element, to, toNamed } = message
  if (toNamed.kind !== 'room') throw new StanzaError('item-not-found')
  const room = roomFor(parts, client, toNamed.group)
  const { identity, nick } = occupantOf(parts, client, room, to.resource)
  const { server } = parts
  const { accounts, contacts } = server.services
  const contact = contacts.byIdentity(client.account, identity)
  const isReachable = accounts.has(identity) || (contact !== undefined && isChosen(contact))
  if (!isReachable)
    throw new StanzaError('not-allowed', `${nick} is no contact of yours: only contacts can be written to alone`)
  const person = server.names.person(client.account, identity)
  const sent: Stanza = {
    ...message,
    element: {
      ...element,
      attrs: { ...element.attrs, to: fullOf(person), type: 'chat' },
      children: element.children.filter((one) => typeof one === 'string' || one.ns !== mucUser),
    },
    to: person,
    toNamed: identity === client.account ? { kind: 'self' } : { kind: 'person', identity },
    type: 'chat',
  }
  for (const feature of server.features) if ((await feature.message?.(sent)) === 'done') return 'done'
  throw new StanzaError('service-unavailable')
}

/**
 * XEP-0045 between accounts of this gateway: halls, as rooms of `rooms.<domain>`. Who knows of one enters it, under a nick of their
 * own; it may be public, anonymous, moderated, for members or behind a password, and it ends when the last one leaves. What is
 * said there goes to programs that are in it now, and is kept nowhere: what lasts, is on all protocols and reaches other gateways
 * is a group (xep/muc). The same words in XEP-0045, other rules: a group knows its members, a hall those who came.
 */
import type { Client } from '../../client.ts'
import { el, type Element } from '../../element.ts'
import type { Feature, IqHandler, Server } from '../../feature.ts'
import { fullOf } from '../../jid.ts'
import { errorReply, StanzaError } from '../../stanza-error.ts'
import { muc, mucAdmin, mucOwner, mucUser, registerNs } from '../muc/namespaces.ts'
import { changeStandings, listStandings } from './admin.ts'
import { disclose, items } from './disco.ts'
import { takePresence } from './entering.ts'
import { status } from './hall.ts'
import { inviteDirectly } from './invitations.ts'
import { leave } from './leaving.ts'
import { configuration, configure } from './owner.ts'
import { hallAt, type HallParts, Halls } from './parts.ts'
import { register, registration } from './registration.ts'
import { Relay } from './relay.ts'
import { takeMessage } from './talk.ts'
import { publishCard, showCard } from './vcard.ts'

export function halls(server: Server): Feature {
  const parts: HallParts = { server, halls: new Halls(server), relay: new Relay() }
  const leaveAll = (client: Client): void => {
    for (const hall of parts.halls.of(client)) leave(parts, hall, client)
    parts.relay.forget(client)
  }
  return {
    iq: handlers(parts),
    disclose: (to, named, client, node) => disclose(parts, to, named, client, node),
    items: (to, named, client, node) => items(parts, to, named, client, node),
    relay: (iq) => parts.relay.pass(parts, iq),
    result: (answer) => parts.relay.passBack(answer),
    async message(message) {
      const { toNamed, type } = message
      if (toNamed.kind === 'person') return inviteDirectly(parts, message)
      if (toNamed.kind === 'halls' && type !== 'error') throw new StanzaError('item-not-found')
      if (toNamed.kind !== 'hall') return 'next'
      if (type !== 'error') takeMessage(parts, message)
      return await Promise.resolve('done')
    },
    async presence(presence) {
      const { client, element, toNamed, type } = presence
      if (toNamed.kind === 'hall') {
        try {
          takePresence(parts, presence)
        } catch (error) {
          if (!(error instanceof StanzaError)) throw error
          // programs know by it that it is about entering (XEP-0045 §7.2)
          const reply = errorReply(element, error)
          client.send({ ...reply, children: [el(`x ${muc}`), ...reply.children] })
        }
        noteHalls(parts, client)
        return 'done'
      }
      if (toNamed.kind === 'self' && element.attrs.to === undefined && type === 'unavailable') leaveAll(client)
      return await Promise.resolve('next')
    },
    bound: (client) => sendOut(parts, client),
    gone: leaveAll,
  }
}

const noteName = 'halls'

/** For when its stream is resumed after a start of the gateway (client.ts), when no hall is left. */
function noteHalls({ halls: all }: HallParts, client: Client): void {
  const { [noteName]: _, ...others } = client.state.notes
  const places = all.of(client).map((hall) => fullOf(hall.place(hall.of(client)!.nick)))
  client.state.notes = places.length === 0 ? others : { ...others, [noteName]: JSON.stringify(places) }
}

/** A client of before the start believes that it is still in them (XEP-0045 §15.6.2, 332). */
function sendOut(parts: HallParts, client: Client): void {
  const text = client.state.notes[noteName]
  if (text === undefined) return
  for (const place of JSON.parse(text) as readonly string[]) client.send(ended(place, client))
  noteHalls(parts, client)
}

const ended = (place: string, client: Client): Element =>
  el(
    'presence',
    { type: 'unavailable', from: place, to: fullOf(client.jid) },
    el(
      `x ${mucUser}`,
      {},
      el(`item ${mucUser}`, { affiliation: 'none', role: 'none' }),
      [status.self, status.shutDown].map((code) => el(`status ${mucUser}`, { code })),
    ),
  )

function handlers(parts: HallParts): readonly IqHandler[] {
  const at = ['hall'] as const
  return [
    { payload: `query ${mucAdmin}`, type: 'get', at, answer: (iq) => listStandings(parts, iq) },
    { payload: `query ${mucAdmin}`, type: 'set', at, answer: (iq) => changeStandings(parts, iq) },
    { payload: `query ${mucOwner}`, type: 'get', at, answer: (iq) => configuration(parts, iq) },
    { payload: `query ${mucOwner}`, type: 'set', at, answer: (iq) => configure(parts, iq) },
    { payload: `query ${registerNs}`, type: 'get', at, answer: (iq) => registration(parts, iq) },
    { payload: `query ${registerNs}`, type: 'set', at, answer: (iq) => register(parts, iq) },
    { payload: 'vCard vcard-temp', type: 'get', at, full: true, answer: (iq) => showCard(parts, iq) },
    { payload: 'vCard vcard-temp', type: 'set', at, answer: (iq) => publishCard(parts, iq) },
    {
      payload: 'ping urn:xmpp:ping',
      type: 'get',
      at,
      full: true,
      answer({ client, to }) {
        const hall = hallAt(parts, to)
        // XEP-0410 §3: whoever asks by a nick is told whether it is still in
        if (to.resource === '') return undefined
        if (hall.of(client) === undefined) throw new StanzaError('not-acceptable', 'enter the room first')
        if (hall.byNick(to.resource) === undefined) throw new StanzaError('item-not-found')
        return undefined
      },
    },
  ]
}

/**
 * Chats between two (RFC 6121 §5, §8): what programs say to a person, and what they hear. How messages are told is in
 * messages/.
 */
import type { Client } from '../client.ts'
import type { Feature, Server, Stanza } from '../feature.ts'
import type { Identity } from '../../../core/ids.ts'
import { unknownAddress } from '../core-errors.ts'
import { clientNs, type Element, elements, withAttrs } from '../element.ts'
import { bareOf, fullOf, type Jid } from '../jid.ts'
import { ClientIds } from '../messages/client-ids.ts'
import { mayPass } from '../messages/extension.ts'
import { Follower, hears } from '../messages/follow.ts'
import { Missed } from '../messages/missed.ts'
import { ns } from '../messages/namespaces.ts'
import { contactResource } from '../names.ts'
import { Origins } from '../messages/origins.ts'
import { Progress } from '../messages/progress.ts'
import { isState, sayTo } from '../messages/say.ts'
import { isOpenTo } from './neighbours.ts'
import { noSuchUser } from './unknown-person.ts'

/** What programs may say to a person: of contacts too, since many ask before they say it. */
const features: readonly string[] = [
  ns.chatStates,
  ns.correct,
  ns.eme,
  ns.fileSharing,
  ns.hints,
  ns.markers,
  ns.oob,
  ns.reactions,
  ns.receipts,
  ns.reply,
  ns.retract,
  ns.sid,
]

export function chats(server: Server): Feature {
  const { services, hub } = server
  const ids = new ClientIds(services.conversations)
  const origins = new Origins()
  const progress = new Progress(services.conversations)
  const missed: Missed = new Missed({ server, progress, follower: () => follower })
  const follower = new Follower({
    server,
    ids,
    origins,
    onGiven: (account, number) => missed.given(account, number),
  })
  return {
    disclose: (_to, { kind }) => (kind === 'self' || kind === 'server' || kind === 'person' ? { features } : undefined),
    bound(client) {
      void moveChats(server, progress, client)
      follower.bound(client)
    },
    gone: (client) => missed.left(client),
    available: (client) => missed.came(client),
    async message(message) {
      const { client, element, to, toNamed, type } = message
      const neighbour = toNamed.kind === 'person' && services.accounts.has(toNamed.identity)
      const recipient = neighbour ? hub.find(toNamed.identity, to) : undefined
      if (recipient !== undefined && !kept.has(type)) {
        recipient.send(sieved(element, fullOf(recipient.jid)))
        return 'done'
      }
      if (type === 'groupchat' || (toNamed.kind !== 'person' && toNamed.kind !== 'self' && toNamed.kind !== 'unknown'))
        return 'next'
      if (type === 'error') return 'done'
      if (toNamed.kind === 'unknown') throw to.domain === server.names.server ? noSuchUser() : unknownAddress()
      if (toNamed.kind === 'person') {
        // nobody is told later what was news for a moment
        if (type === 'headline' && !neighbour) return 'next'
        if (type === 'headline') passNow(server, toNamed.identity, message)
        else if (neighbour && isState(element)) passState(server, toNamed.identity, message, recipient)
        // RFC 6121 §8.5.3.2.1
        else if (neighbour && recipient === undefined && type !== 'chat' && !isAnyResource(to)) return 'next'
        else await sayTo({ server, ids, origins }, message, toNamed.identity, recipient)
        return 'done'
      }
      const other = to.resource === '' ? undefined : hub.find(client.account, to)
      if (other !== undefined) other.send(element)
      else if (type === 'headline') hub.toAll(client.account, element)
      else await sayTo({ server, ids, origins }, message, client.account)
      return 'done'
    },
    [Symbol.dispose]() {
      follower[Symbol.dispose]()
      missed[Symbol.dispose]()
    },
  }
}

/** What becomes part of a conversation; the rest is for one moment. */
const kept: ReadonlySet<string> = new Set(['', 'normal', 'chat'])

/** Without what only a server says. */
const sieved = (message: Element, to: string): Element => ({
  ...withAttrs(message, { to }),
  children: elements(message).filter((one) => one.ns === clientNs || one.ns === ns.chatStates || mayPass(one)),
})

/** Of no program: what presence of people is shown with stands for all of them. */
const isAnyResource = ({ resource }: Jid): boolean => resource === '' || resource === contactResource

/** RFC 6121 §8.5.2.1.1, §8.5.3.2.1: to all programs that are there for it, or to none. */
function passNow(
  { hub, names }: Server,
  identity: Identity,
  { element, to }: Stanza,
  wants: (client: Client) => boolean = hears,
): void {
  if (!isAnyResource(to)) return
  const passed = sieved(element, bareOf(names.own(identity)))
  for (const client of hub.of(identity)) if (wants(client)) client.send(passed)
}

/** Who types is told to whoever may know that one is there, and by who tells of presence to all they write to, as to contacts. */
function passState(server: Server, identity: Identity, stanza: Stanza, recipient: Client | undefined): void {
  const { account } = stanza.client
  const isTold = server.services.conversations.settings(account).tellsPresence || isOpenTo(server, account, identity)
  if (!isTold) return
  if (recipient === undefined) passNow(server, identity, stanza, (one) => hears(one) && !one.state.isInactive)
  else recipient.send(sieved(stanza.element, fullOf(recipient.jid)))
}

/** DESIGN §6: with the first chat program direct chats leave the inbox; once, so that who wants them there has them there. */
async function moveChats({ services, ambient }: Server, progress: Progress, { account }: Client): Promise<void> {
  const { store, conversations } = services
  if (store.read((tx) => progress.given(tx, account)?.hasMovedChats) === true) return
  try {
    await store.write((tx) => {
      const given = progress.given(tx, account)
      if (given?.hasMovedChats === true) return
      // what was said before is in the archive
      progress.setGiven(tx, account, { hasMovedChats: true, upTo: conversations.history.feed.lastNumber(tx, account) })
      conversations.setSettings(tx, account, { hasChatClient: true })
    })
  } catch {
    ambient.log.warn('xmpp.chats-not-moved')
  }
}

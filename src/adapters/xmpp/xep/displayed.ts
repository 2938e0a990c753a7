/**
 * XEP-0490: how far each conversation was read, which the programs of an account have in common as items of a personal node. It
 * is the account's read mark, that of mail and Matrix too: an item that a program publishes moves the mark, and a mark that
 * moves publishes the item.
 */
import { idOfPartner } from '../../../core/conversation/conversations.ts'
import type { Partner } from '../../../core/conversation/rows.ts'
import type { ConversationId, Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { child, type Element, el } from '../element.ts'
import type { Feature, Server } from '../feature.ts'
import { bareOf, parseJid } from '../jid.ts'
import { ns } from '../messages/namespaces.ts'
import { Progress } from '../messages/progress.ts'
import { pepOf } from './pep/pep.ts'

/** XEP-0490 §3.1: nobody but the account sees it, and all of it is kept. */
const options = { access: 'whitelist', persists: true, sendLast: 'never', maxItems: limits.xmppNodeItemsMax } as const

export function displayed(server: Server): Feature {
  const { services, ambient } = server
  const { store, conversations, chats } = services
  const pep = pepOf(server)
  const progress = new Progress(conversations)

  /** The mark that the last item asks for, where that is farther than the account's own. */
  const asked = (tx: ReadTx, account: Identity) => {
    const item = pep.ownItemsIn(tx, account, ns.mds)?.at(-1)
    const id = item && stanzaIdIn(item.payload)
    const partner = item && partnerOf(server, account, item.id)
    if (id === undefined || partner === undefined) return undefined
    const conversation = idOfPartner(account, partner)
    const row = conversations.history.message(tx, account, id)
    const mark = conversations.markOf(tx, account, conversation, account)
    const isNews = row?.state === 'shown' && row.conversation === conversation && row.rank > (mark?.rank ?? -1)
    return isNews ? { conversation, id } : undefined
  }
  pep.whenChanged((tx, account, node) => {
    const mark = node === ns.mds ? asked(tx, account) : undefined
    if (mark !== undefined)
      tx.afterCommit(() => {
        chats.markRead(account, mark.conversation, mark.id).catch(() => ambient.log.warn('xmpp.read-not-kept'))
      })
  })

  const publish = async (account: Identity, conversation: ConversationId, upTo: MessageId): Promise<void> => {
    const partner = conversations.get(account, conversation)?.partner
    if (partner === undefined) return
    const { jid, by } = nameOf(server, account, partner)
    const known = pep.ownItems(account, ns.mds)?.find(({ id }) => id === jid)
    if (known !== undefined && stanzaIdIn(known.payload) === upTo) return
    const payload = el(`displayed ${ns.mds}`, {}, el(`stanza-id ${ns.sid}`, { by, id: upTo }))
    await store.write((tx) => {
      // as a program has made it: it may not be as we would
      const isThere = pep.ownItemsIn(tx, account, ns.mds) !== undefined
      pep.publish(tx, account, { node: ns.mds, items: [{ id: jid, payload }], ...(isThere ? {} : { options }) })
    })
  }
  const stop = conversations.watch((account, { conversation, event }) => {
    if (event.kind !== 'read' || event.who !== account) return
    if (store.read((tx) => progress.given(tx, account)) === undefined) return // it never had a program
    publish(account, conversation, event.upTo).catch(() => ambient.log.warn('xmpp.read-not-told'))
  })
  return {
    disclose: (_to, { kind }) => (kind === 'self' ? { features: [ns.mds] } : undefined),
    [Symbol.dispose]: stop,
  }
}

function stanzaIdIn(payload: Element): MessageId | undefined {
  const isDisplayed = payload.name === 'displayed' && payload.ns === ns.mds
  const id = isDisplayed ? child(payload, `stanza-id ${ns.sid}`)?.attrs.id : undefined
  return id !== undefined && /^[\da-f]{64}$/.test(id) ? (id as MessageId) : undefined
}

function partnerOf({ names }: Server, account: Identity, text: string): Partner | undefined {
  const jid = parseJid(text)
  const named = jid && names.named(account, jid)
  if (named?.kind === 'person') return { kind: 'direct', peer: named.identity }
  if (named?.kind === 'self') return { kind: 'direct', peer: account }
  return named?.kind === 'room' ? { kind: 'group', group: named.group } : undefined
}

/** The conversation's JID, and who gives its stanza-ids. */
function nameOf({ names }: Server, account: Identity, partner: Partner): { readonly jid: string; readonly by: string } {
  if (partner.kind === 'group') {
    const room = bareOf(names.room(partner.group))
    return { jid: room, by: room }
  }
  return { jid: bareOf(names.person(account, partner.peer)), by: bareOf(names.own(account)) }
}

/**
 * Bookmarks are items of the node of XEP-0402. Programs that know only XEP-0048 see the same as one element, in private storage
 * (`#compat`) and as the node `storage:bookmarks` (`#compat-pep`), and change them by it.
 */
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import type { Client } from '../client.ts'
import { child, childrenNamed, type Element, el, elements, serialise, textOf } from '../element.ts'
import type { Feature, Server } from '../feature.ts'
import { bareOf, parseJid } from '../jid.ts'
import { interestsOf } from './interests.ts'
import { pepOf } from './pep/pep.ts'

const ns = 'urn:xmpp:bookmarks:1'
export const oldBookmarksNs = 'storage:bookmarks'
/** XEP-0411. */
const conversionNs = 'urn:xmpp:bookmarks-conversion:0'

export const bookmarks = (server: Server): Feature => {
  const pep = pepOf(server)
  pep.addVirtual({
    name: oldBookmarksNs,
    items(tx, account) {
      const storage = oldBookmarks(server, tx, account)
      return elements(storage).length === 0 ? [] : [{ id: 'current', atMs: 0, payload: storage }]
    },
    publish: (tx, account, storage) => setOldBookmarks(server, tx, account, storage),
  })
  pep.whenChanged((tx, account, node) => {
    if (node === ns) tx.afterCommit(() => pep.changedVirtually(account, oldBookmarksNs))
  })
  return {
    disclose: (_to, { kind }, _client, node) =>
      kind === 'self' && node === undefined
        ? { features: [`${ns}#compat`, `${ns}#compat-pep`, conversionNs] }
        : undefined,
  }
}

/** XEP-0048, made of what there is. */
export function oldBookmarks(server: Server, tx: ReadTx, account: Identity): Element {
  const items = pepOf(server).ownItemsIn(tx, account, ns) ?? []
  const rooms = items.map(({ id, payload }) =>
    el(
      `conference ${oldBookmarksNs}`,
      { jid: id, name: payload.attrs.name, autojoin: payload.attrs.autojoin },
      ['nick', 'password'].flatMap((name) => copied(payload, name, oldBookmarksNs) ?? []),
    ),
  )
  return el(`storage ${oldBookmarksNs}`, {}, rooms)
}

const copied = (from: Element, name: string, as: string): Element | undefined => {
  const found = child(from, name)
  return found && el(`${name} ${as}`, {}, textOf(found))
}

/** What is another bookmark now is published, what is missing is retracted; what only XEP-0402 knows of one stays. */
export function setOldBookmarks(server: Server, tx: WriteTx, account: Identity, storage: Element): void {
  const pep = pepOf(server)
  const before = new Map((pep.ownItemsIn(tx, account, ns) ?? []).map(({ id, payload }) => [id, payload]))
  const wanted = new Map<string, Element>()
  for (const conference of childrenNamed(storage, 'conference').slice(0, limits.xmppNodeItemsMax)) {
    const jid = parseJid(conference.attrs.jid ?? '')
    if (jid === undefined) continue
    const id = bareOf(jid)
    const extensions = before.get(id) && child(before.get(id)!, 'extensions')
    wanted.set(
      id,
      el(
        `conference ${ns}`,
        { name: conference.attrs.name, autojoin: conference.attrs.autojoin },
        ['nick', 'password'].flatMap((name) => copied(conference, name, ns) ?? []),
        extensions,
      ),
    )
  }
  const items = [...wanted]
    .filter(([id, payload]) => !before.has(id) || serialise(before.get(id)!) !== serialise(payload))
    .map(([id, payload]) => ({ id, payload }))
  const gone = [...before.keys()].filter((id) => !wanted.has(id))
  if (items.length > 0 || (before.size === 0 && pep.ownItemsIn(tx, account, ns) === undefined))
    pep.publish(tx, account, {
      node: ns,
      items,
      ...(pep.ownItemsIn(tx, account, ns) === undefined ? { options: bookmarksConfig } : {}),
    })
  if (gone.length > 0) pep.retract(tx, account, ns, gone)
}

export interface Bookmark {
  readonly jid: string
  readonly name: string
  readonly nick: string
}

/** Rooms that programs are to enter by themselves; those that have a bookmark stay as they are. */
export function addBookmarks(server: Server, tx: WriteTx, account: Identity, rooms: readonly Bookmark[]): void {
  const pep = pepOf(server)
  const before = pep.ownItemsIn(tx, account, ns)
  const known = new Set(before?.map(({ id }) => id))
  const items = rooms
    .filter(({ jid }) => !known.has(jid))
    .map(({ jid, name, nick }) => ({
      id: jid,
      payload: el(`conference ${ns}`, { name, autojoin: 'true' }, el(`nick ${ns}`, {}, nick)),
    }))
  if (items.length === 0 || known.size + items.length > limits.xmppNodeItemsMax) return
  pep.publish(tx, account, { node: ns, items, ...(before === undefined ? { options: bookmarksConfig } : {}) })
}

export function removeBookmark(server: Server, tx: WriteTx, account: Identity, jid: string): void {
  const pep = pepOf(server)
  const isThere = pep.ownItemsIn(tx, account, ns)?.some(({ id }) => id === jid) === true
  if (isThere) pep.retract(tx, account, ns, [jid])
}

/** Does a program hear of bookmarks as they change? */
export const hearsBookmarks = (server: Server, client: Client): boolean => {
  const wants = interestsOf(server).of(client)
  return wants.has(`${ns}+notify`) || wants.has(`${oldBookmarksNs}+notify`)
}

/** XEP-0402 §3: nobody else's affair, and as many as there are rooms. */
const bookmarksConfig = {
  access: 'whitelist',
  maxItems: limits.xmppNodeItemsMax,
  sendLast: 'never',
} as const

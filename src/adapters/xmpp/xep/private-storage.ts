/** XEP-0049: elements that programs keep here, each under its namespace. Bookmarks are those of XEP-0402. */
import type { Element } from '../element.ts'
import { el, elements } from '../element.ts'
import { elementCodec } from '../element-codec.ts'
import type { Feature, Iq, Server } from '../feature.ts'
import { limits } from '../../../core/limits.ts'
import { Kept } from '../kept.ts'
import { StanzaError } from '../stanza-error.ts'
import { oldBookmarks, oldBookmarksNs, setOldBookmarks } from './bookmarks.ts'
import { storable } from './storable.ts'

const ns = 'jabber:iq:private'
const kept = new Kept<Element>('private', elementCodec)

export const privateStorage = (server: Server): Feature => ({
  iq: [
    { payload: `query ${ns}`, type: 'get', at: ['self'], answer: (iq) => get(server, iq) },
    { payload: `query ${ns}`, type: 'set', at: ['self'], answer: (iq) => set(server, iq) },
  ],
  disclose: (_to, { kind }, _client, node) =>
    node === undefined && (kind === 'server' || kind === 'self') ? { features: [ns] } : undefined,
})

function get(server: Server, { client: { account }, payload }: Iq): Element {
  const [asked, ...more] = elements(payload)
  if (asked === undefined || more.length > 0) throw new StanzaError('bad-request', 'One element at a time.')
  const found = server.services.store.read((tx) =>
    asked.ns === oldBookmarksNs && asked.name === 'storage'
      ? oldBookmarks(server, tx, account)
      : kept.get(tx, account, `${asked.name} ${asked.ns}`),
  )
  return el(`query ${ns}`, {}, found ?? el(`${asked.name} ${asked.ns}`))
}

/** XEP-0049 §2: namespaces that mean something to servers are not for keeping. */
const isForServers = (space: string): boolean =>
  space === '' || /^(?:jabber:|http:\/\/jabber\.org|vcard-temp|urn:ietf:)/.test(space)

async function set(server: Server, { client: { account }, payload, handled }: Iq): Promise<undefined> {
  const given = elements(payload)
  if (given.length === 0) throw new StanzaError('bad-request', 'Nothing to keep.')
  if (given.some((one) => isForServers(one.ns)))
    throw new StanzaError('not-acceptable', 'Elements of this namespace are not kept.')
  const checked = given.map(storable)
  await server.services.store.write((tx) => {
    for (const one of checked)
      if (one.ns === oldBookmarksNs && one.name === 'storage') setOldBookmarks(server, tx, account, one)
      else kept.put(tx, account, [`${one.name} ${one.ns}`], one)
    if (kept.count(tx, account) > limits.xmppPrivateMax)
      throw new StanzaError('resource-constraint', 'Too many different things are kept.')
    handled(tx)
  })
  return undefined
}

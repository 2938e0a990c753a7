/**
 * XEP-0054. The own vCard is kept for programs and shown to nobody; of a contact it is made of what the account knows: its name
 * here, its picture, and how sure it is who that is. vCard4 (XEP-0292) is a node of personal events.
 */
import { tierWords } from '../../../core/identity/trust.ts'
import type { Identity } from '../../../core/ids.ts'
import { elementCodec } from '../element-codec.ts'
import { type Element, el, isElement } from '../element.ts'
import type { Feature, Iq, Server } from '../feature.ts'
import { bareOf } from '../jid.ts'
import { Kept } from '../kept.ts'
import { StanzaError } from '../stanza-error.ts'
import { type Photo, photoOf, photosIn, publishPhoto } from './avatars.ts'
import { storable } from './storable.ts'

const ns = 'vcard-temp'
const kept = new Kept<Element>('vcard', elementCodec)

export const vcard = (server: Server): Feature => ({
  iq: [
    {
      payload: `vCard ${ns}`,
      type: 'get',
      at: ['self', 'person'],
      answer: ({ client: { account }, toNamed }) =>
        toNamed.kind === 'person' ? ofPerson(server, account, toNamed.identity) : own(server, account),
    },
    { payload: `vCard ${ns}`, type: 'set', at: ['self'], answer: (iq) => set(server, iq) },
  ],
  disclose: (_to, { kind }, _client, node) =>
    node === undefined && (kind === 'self' || kind === 'server' || kind === 'person')
      ? { features: kind === 'self' ? [ns, 'urn:xmpp:pep-vcard-conversion:0'] : [ns] }
      : undefined,
})

const field = (name: string, value: string | undefined): Element | undefined =>
  value === undefined || value === '' ? undefined : el(`${name} ${ns}`, {}, value)

const photoElement = (photo: Photo | undefined): Element | undefined =>
  photo && el(`PHOTO ${ns}`, {}, field('TYPE', photo.type), field('BINVAL', photo.base64))

function own(server: Server, account: Identity): Element {
  const known = server.services.store.read((tx) => kept.get(tx, account))
  const said = known?.children ?? [
    field('FN', server.services.people.nameOf(account, account)),
    field('JABBERID', bareOf(server.names.own(account))),
  ]
  return el(`vCard ${ns}`, {}, said, photoElement(photoOf(server, account, account)))
}

/** In words, and the digits to compare. */
function trustOf({ services: { accounts, contacts } }: Server, account: Identity, identity: Identity): string {
  if (accounts.has(identity)) return 'An account of this gateway.'
  const contact = contacts.byIdentity(account, identity)
  if (contact === undefined) return 'Not a contact.'
  const { tier, keyChanged, fingerprint } = contact
  if (keyChanged) return `Its key has changed: compare these digits before you trust it again: ${fingerprint}`
  return `Trust: ${tierWords[tier]}. ${tierTexts[tier]} Digits: ${fingerprint}`
}

const tierTexts = {
  verified: 'You have compared its digits.',
  zone: 'The key of its domain says that the address is its own.',
  vouched: 'A contact whom you have verified vouches for it.',
  claimed: 'Nobody but itself says who it is: compare the digits with it.',
} as const

function ofPerson(server: Server, account: Identity, identity: Identity): Element {
  const { names, services } = server
  const { contacts, accounts, people } = services
  const contact = contacts.byIdentity(account, identity)
  if (contact === undefined && !accounts.has(identity)) throw new StanzaError('item-not-found')
  const name = people.nameOf(account, identity)
  const isShown = contact?.blocked !== true
  return el(
    `vCard ${ns}`,
    {},
    field('FN', name ?? bareOf(names.person(account, identity))),
    field('JABBERID', bareOf(names.person(account, identity))),
    field('NOTE', trustOf(server, account, identity)),
    isShown ? photoElement(photoOf(server, account, identity)) : undefined,
  )
}

async function set(server: Server, { client, payload, handled }: Iq): Promise<undefined> {
  const { account } = client
  const [photo, ...more] = photosIn(payload)
  if (more.length > 0) throw new StanzaError('not-acceptable', 'One photo only.')
  const others = payload.children.filter((node) => isElement(node) && node.name !== 'PHOTO')
  const text = storable({ ...payload, children: others })
  await server.services.store.write((tx) => {
    kept.put(tx, account, [], text)
    publishPhoto(server, tx, account, photo)
    handled(tx)
  })
  return undefined
}

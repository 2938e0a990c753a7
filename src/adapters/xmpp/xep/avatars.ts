/** Pictures of people: one picture, kept as personal events (XEP-0084) and seen as vCard photo too (XEP-0398, XEP-0153). */
import { fromBase64, toBase64, toHex } from '../../../core/bytes.ts'
import { sha1 } from '../../../core/crypto/kdf.ts'
import type { Identity } from '../../../core/ids.ts'
import { imageHead } from '../../../core/message/thumbnail/image-kind.ts'
import type { WriteTx } from '../../../core/store/store.ts'
import { child, childrenNamed, type Element, el, elements, textOf } from '../element.ts'
import type { Server } from '../feature.ts'
import { StanzaError } from '../stanza-error.ts'
import { pepOf } from './pep/pep.ts'

export const avatarMetadata = 'urn:xmpp:avatar:metadata'
const avatarData = 'urn:xmpp:avatar:data'
const updateNs = 'vcard-temp:x:update'

export interface Photo {
  /** `image/png` and the like. */
  readonly type: string
  readonly base64: string
}

type Whose = { readonly kind: 'self' } | { readonly kind: 'person'; readonly identity: Identity }

const whoseOf = (account: Identity, identity: Identity): Whose =>
  identity === account ? { kind: 'self' } : { kind: 'person', identity }

/** What is said of the picture; without `id` where there is none any more, `undefined` where there never was one. */
function pictureOf(server: Server, account: Identity, identity: Identity): Element['attrs'] | undefined {
  const metadata = pepOf(server).itemsOf(account, whoseOf(account, identity), avatarMetadata)?.at(-1)?.payload
  if (metadata === undefined) return undefined
  const info = child(metadata, 'info')
  // SHA-1 in hex
  return /^[\da-f]{40}$/.test(info?.attrs.id ?? '') ? info!.attrs : {}
}

export function photoOf(server: Server, account: Identity, identity: Identity): Photo | undefined {
  const picture = pictureOf(server, account, identity)
  if (picture?.id === undefined) return undefined
  const data = pepOf(server)
    .itemsOf(account, whoseOf(account, identity), avatarData)
    ?.find(({ id }) => id === picture.id)
  return data && { type: picture.type ?? 'image/png', base64: textOf(data.payload).replaceAll(/\s/g, '') }
}

/** XEP-0153 §4.2, for presence. */
export function photoUpdate(server: Server, account: Identity, identity: Identity): Element | undefined {
  const picture = pictureOf(server, account, identity)
  return picture && el(`x ${updateNs}`, {}, el(`photo ${updateNs}`, {}, picture.id))
}

/** XEP-0398 §4: an own presence says the picture that there is, whatever the program knows of it. */
export function withPhoto(server: Server, account: Identity, presence: Element): Element {
  const others = presence.children.filter((node) => typeof node === 'string' || node.ns !== updateNs)
  const update = photoUpdate(server, account, account) ?? el(`x ${updateNs}`, {}, el(`photo ${updateNs}`))
  return { ...presence, children: [...others, update] }
}

/** A photo of a vCard becomes the picture. @throws StanzaError `not-acceptable` for what is no image */
export function publishPhoto(server: Server, tx: WriteTx, account: Identity, photo: Element | undefined): void {
  const pep = pepOf(server)
  const base64 = (photo && textOf(child(photo, 'BINVAL') ?? photo))?.replaceAll(/\s/g, '') ?? ''
  const shown = pep.ownItemsIn(tx, account, avatarMetadata)?.at(-1)
  const isPictured = shown !== undefined && elements(shown.payload).length > 0
  if (base64 === '') {
    if (isPictured)
      pep.publish(tx, account, {
        node: avatarMetadata,
        items: [{ id: shown.id, payload: el(`metadata ${avatarMetadata}`) }],
      })
    return
  }
  const bytes = fromBase64(base64)
  const head = bytes && imageHead(bytes)
  if (bytes === undefined || head === undefined)
    throw new StanzaError('not-acceptable', 'The photo is no PNG, JPEG, GIF or WebP image.')
  const id = toHex(sha1(bytes))
  if (isPictured && shown.id === id) return
  const { kind, width, height } = head
  const info = { bytes: bytes.length, id, type: `image/${kind}`, width, height }
  pep.publish(tx, account, {
    node: avatarData,
    items: [{ id, payload: el(`data ${avatarData}`, {}, toBase64(bytes)) }],
  })
  pep.publish(tx, account, {
    node: avatarMetadata,
    items: [{ id, payload: el(`metadata ${avatarMetadata}`, {}, el(`info ${avatarMetadata}`, info)) }],
  })
}

/** The photos in a vCard. */
export const photosIn = (vcard: Element): readonly Element[] => childrenNamed(vcard, 'PHOTO')

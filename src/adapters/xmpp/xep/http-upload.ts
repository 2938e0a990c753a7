/** XEP-0363: where a file can be put before it is sent. */
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { type Element, el } from '../element.ts'
import type { Feature, Iq, Server } from '../feature.ts'
import { StanzaError } from '../stanza-error.ts'
import { fileNameOf } from '../../../core/delivery/file-name.ts'
import { mediaTypeOf } from '../../wire/media-type.ts'

const ns = 'urn:xmpp:http:upload:0'

export function httpUpload({ services: { uploads }, ambient }: Server): Feature {
  return {
    iq: [
      {
        payload: `request ${ns}`,
        at: ['uploads'],
        type: 'get',
        answer({ client, payload }: Iq) {
          const { filename = '', size: sizeText = '', 'content-type': type } = payload.attrs
          if (!/^[1-9]\d{0,15}$/.test(sizeText)) throw new StanzaError('bad-request', 'size is a number of octets')
          if (filename === '' || fileNameOf(filename) !== filename)
            throw new StanzaError('not-acceptable', 'this is no name of a file')
          const mediaType = type === undefined ? undefined : mediaTypeOf(type)
          try {
            const url = uploads.promise(client.account, { name: filename, mediaType, size: Number(sizeText) })
            return el(`slot ${ns}`, {}, el(`put ${ns}`, { url }), el(`get ${ns}`, { url }))
          } catch (error) {
            throw error instanceof MyceliumError ? refusalOf(error, ambient.clock.nowMs()) : error
          }
        },
      },
    ],
    disclose: (_, named) =>
      named.kind === 'uploads' && uploads.isOpen
        ? { identities: [{ category: 'store', type: 'file', name: 'Files' }], features: [ns], forms: [bounds()] }
        : undefined,
  }
}

/** XEP-0363 §3. */
function bounds(): Element {
  const field = (name: string, value: string, type?: string): Element =>
    el('field jabber:x:data', { var: name, type }, el('value jabber:x:data', {}, value))
  return el(
    'x jabber:x:data',
    { type: 'result' },
    field('FORM_TYPE', ns, 'hidden'),
    field('max-file-size', String(limits.fileBytesMax)),
  )
}

/** XEP-0363 §5. */
function refusalOf({ code }: MyceliumError, nowMs: number): StanzaError {
  if (code === 'message-too-large') {
    const most = el(`max-file-size ${ns}`, {}, String(limits.fileBytesMax))
    return new StanzaError('not-acceptable', 'this file is too large', el(`file-too-large ${ns}`, {}, most))
  }
  if (code !== 'mailbox-full' && code !== 'throttled')
    return new StanzaError('service-unavailable', 'there is no HTTPS listener')
  return new StanzaError(
    'resource-constraint',
    code === 'throttled' ? 'too many uploads at once' : 'your quota has no room for this file',
    el(`retry ${ns}`, { stamp: new Date(nowMs + limits.uploadSlotMs).toISOString() }),
  )
}

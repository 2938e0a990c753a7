/**
 * XEP-0357: which program is to be woken by which service is kept, so that programs find what they look for. Nothing is sent: a
 * push service is a server on the internet that would learn when somebody gets messages.
 */
import { type Codec, record, text } from '../../../core/codec.ts'
import { limits } from '../../../core/limits.ts'
import type { Element } from '../element.ts'
import type { Feature, Iq, Server } from '../feature.ts'
import { bareOf, parseJid } from '../jid.ts'
import { Kept } from '../kept.ts'
import { StanzaError } from '../stanza-error.ts'

const ns = 'urn:xmpp:push:0'

interface Registration {
  readonly service: string
  readonly node: string
}
const name = text(limits.xmppNameOctetsMax)
const registrationCodec: Codec<Registration> = record<Registration>({ service: name, node: name })
const registrations = new Kept<Registration>('push', registrationCodec)

export const push = ({ services: { store } }: Server): Feature => ({
  iq: [
    {
      payload: `enable ${ns}`,
      type: 'set',
      at: ['self'],
      async answer({ client: { account }, payload, handled }: Iq) {
        const service = serviceOf(payload)
        const { node = '' } = payload.attrs
        if (Buffer.byteLength(node) > limits.xmppNameOctetsMax) throw new StanzaError('not-acceptable')
        await store.write((tx) => {
          registrations.put(tx, account, [service, node], { service, node })
          if (registrations.count(tx, account) > limits.xmppPushMax)
            throw new StanzaError('resource-constraint', 'Too many programs have asked to be woken.')
          handled(tx)
        })
        return undefined
      },
    },
    {
      payload: `disable ${ns}`,
      type: 'set',
      at: ['self'],
      async answer({ client: { account }, payload, handled }: Iq) {
        const service = serviceOf(payload)
        const { node } = payload.attrs
        await store.write((tx) => {
          registrations.removeAll(tx, account, service, ...(node === undefined ? [] : [node]))
          handled(tx)
        })
        return undefined
      },
    },
  ],
  disclose: (_to, { kind }, _client, node) =>
    node === undefined && (kind === 'self' || kind === 'server') ? { features: [ns] } : undefined,
})

function serviceOf({ attrs }: Element): string {
  const jid = parseJid(attrs.jid ?? '')
  if (jid === undefined) throw new StanzaError(attrs.jid === undefined ? 'bad-request' : 'jid-malformed')
  return bareOf(jid)
}

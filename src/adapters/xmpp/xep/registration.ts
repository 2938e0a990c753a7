/**
 * XEP-0077: an account is registered, as its programs ask; accounts and passwords are made on the command line. A password of a
 * program is 128 random bits that nobody could choose better.
 */
import { child, el } from '../element.ts'
import type { Feature, Iq, Server } from '../feature.ts'
import { StanzaError } from '../stanza-error.ts'

const ns = 'jabber:iq:register'

export const registration = (server: Server): Feature => ({
  iq: [
    {
      payload: `query ${ns}`,
      type: 'get',
      at: ['server', 'self'],
      answer: ({ client: { account } }) =>
        el(
          `query ${ns}`,
          {},
          el(`registered ${ns}`),
          el(`username ${ns}`, {}, server.services.accounts.get(account).localName),
          el(`password ${ns}`),
          el(`instructions ${ns}`, {}, instructions),
        ),
    },
    {
      payload: `query ${ns}`,
      type: 'set',
      at: ['server', 'self'],
      answer({ payload }: Iq) {
        if (child(payload, 'remove') !== undefined)
          throw new StanzaError(
            'not-allowed',
            'An account is removed with "mycelium-gateway account remove", by whoever runs the gateway.',
          )
        throw new StanzaError('not-allowed', instructions)
      },
    },
  ],
  disclose: (_to, { kind }, _client, node) =>
    kind === 'server' && node === undefined ? { features: [ns] } : undefined,
})

const instructions =
  'Passwords are not chosen here: "mycelium-gateway password add" makes one for each program, and "password revoke" takes it back.'

/** XEP-0092: what this is. The operating system and the exact version are nobody's affair. */
import { el } from '../element.ts'
import type { Feature } from '../feature.ts'

const ns = 'jabber:iq:version'

export const version = (): Feature => ({
  iq: [
    {
      payload: `query ${ns}`,
      type: 'get',
      at: ['server'],
      answer: () => el(`query ${ns}`, {}, el(`name ${ns}`, {}, 'Mycelium'), el(`version ${ns}`, {}, '1')),
    },
  ],
  disclose: (_to, { kind }, _client, node) =>
    kind === 'server' && node === undefined ? { features: [ns] } : undefined,
})

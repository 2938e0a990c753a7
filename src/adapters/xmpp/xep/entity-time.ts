/** XEP-0202: what time it is at the gateway, in UTC; where it is stays its own affair. */
import { el } from '../element.ts'
import type { Feature, Server } from '../feature.ts'

const ns = 'urn:xmpp:time'

export const entityTime = ({ ambient }: Server): Feature => ({
  iq: [
    {
      payload: `time ${ns}`,
      type: 'get',
      at: ['server'],
      answer: () =>
        el(
          `time ${ns}`,
          {},
          el(`tzo ${ns}`, {}, '+00:00'),
          el(`utc ${ns}`, {}, new Date(ambient.clock.nowMs()).toISOString().replace(/\.\d+Z$/, 'Z')),
        ),
    },
  ],
  disclose: (_to, { kind }, _client, node) =>
    kind === 'server' && node === undefined ? { features: [ns] } : undefined,
})

/** XEP-0012: how long the server is up. When people were last there is told to nobody. */
import { el } from '../element.ts'
import type { Feature, Server } from '../feature.ts'
import { StanzaError } from '../stanza-error.ts'

const ns = 'jabber:iq:last'

export const lastActivity = ({ ambient }: Server): Feature => {
  const startedAtMs = ambient.clock.monotonicMs()
  return {
    iq: [
      {
        payload: `query ${ns}`,
        type: 'get',
        at: ['server'],
        answer: () => el(`query ${ns}`, { seconds: Math.floor((ambient.clock.monotonicMs() - startedAtMs) / 1000) }),
      },
      {
        payload: `query ${ns}`,
        type: 'get',
        at: ['self', 'person'],
        full: true,
        answer: () => {
          throw new StanzaError('forbidden', 'When somebody was last there is not told here.')
        },
      },
    ],
    disclose: (_to, { kind }, _client, node) =>
      kind === 'server' && node === undefined ? { features: [ns] } : undefined,
  }
}

/** XEP-0280: a program wants copies of what the others of its account say and are given. */
import type { Feature } from '../feature.ts'
import { ns } from '../messages/namespaces.ts'

export const carbons = (): Feature => ({
  iq: ([true, false] as const).map((carbonsOn) => ({
    payload: `${carbonsOn ? 'enable' : 'disable'} ${ns.carbons}`,
    type: 'set' as const,
    at: ['self', 'server'] as const,
    answer: ({ client }) => {
      client.state.carbons = carbonsOn
      return undefined
    },
  })),
  disclose: (_to, { kind }) =>
    kind === 'self' || kind === 'server' ? { features: [ns.carbons, `urn:xmpp:carbons:rules:0`] } : undefined,
})

/** XEP-0199: whether somebody is there. */
import type { Feature } from '../feature.ts'

const ns = 'urn:xmpp:ping'

export const ping = (): Feature => ({
  iq: [{ payload: `ping ${ns}`, type: 'get', at: ['server', 'self', 'rooms', 'uploads'], answer: () => undefined }],
  disclose: (_to, { kind }, _client, node) =>
    node === undefined && (kind === 'server' || kind === 'self') ? { features: [ns] } : undefined,
})

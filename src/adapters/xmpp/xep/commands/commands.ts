/** Ad-hoc commands (XEP-0050) at the embedded server. */
import type { Feature, Server } from '../../feature.ts'
import { formNs } from '../../data-form.ts'
import { fullOf } from '../../jid.ts'
import { CommandDesk, commandsNs } from './desk.ts'

export function commands({ services, ambient, names }: Server): Feature {
  const desk = new CommandDesk(services, ambient)
  return {
    iq: [
      {
        payload: `command ${commandsNs}`,
        at: ['server'],
        type: 'set',
        answer: async ({ client, payload }) =>
          await desk.answer({ account: client.account, jid: fullOf(client.jid) }, payload),
      },
    ],
    disclose(_to, { kind }, _client, node) {
      if (kind !== 'server') return undefined
      if (node === undefined) return { features: [commandsNs] }
      if (node === commandsNs)
        return { identities: [{ category: 'automation', type: 'command-list', name: 'Commands' }] }
      const name = desk.nameOf(node)
      if (name === undefined) return undefined
      return { identities: [{ category: 'automation', type: 'command-node', name }], features: [commandsNs, formNs] }
    },
    items: (_to, { kind }, _client, node) => (kind === 'server' && node === commandsNs ? desk.items(names.server) : []),
    [Symbol.dispose]: () => desk[Symbol.dispose](),
  }
}

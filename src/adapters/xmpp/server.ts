/** The parts of the XMPP server put together, whatever its streams come by. */
import type { Ambient } from '../../core/ambient.ts'
import type { Feature, Server } from './feature.ts'
import { featureMakers } from './features.ts'
import { Hub } from './hub.ts'
import { Names } from './names.ts'
import type { XmppServices } from './services.ts'

export interface XmppServer extends Server, Disposable {}

export function openServer(services: XmppServices, ambient: Ambient): XmppServer {
  const features: Feature[] = []
  const server: Server = { services, ambient, names: new Names(services), hub: new Hub(), features }
  for (const make of featureMakers) features.push(make(server))
  return {
    ...server,
    [Symbol.dispose]() {
      for (const feature of features.toReversed()) feature[Symbol.dispose]?.()
    },
  }
}

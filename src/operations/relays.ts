/** The relays through which an account can be reached while its gateway is away. */
import type { Operations } from '../core/control.ts'
import type { RelayView } from '../core/control-views.ts'
import { fromHex } from '../core/bytes.ts'
import type { RelayInUse } from '../core/delivery/relay/desk.ts'
import { MyceliumError } from '../core/errors.ts'
import { gatewaysOf } from '../overlay/bootstrap.ts'
import { accountOf, liveOf, type OperationParts } from './context.ts'

/** Those where mail is left now, and of them those that are asked for it without a break. */
export function relaysNow(found: readonly RelayInUse[]): {
  readonly current: readonly RelayInUse[]
  readonly watched: readonly RelayInUse[]
} {
  const current = found.filter(({ choice }) => choice.retiredAtMs === 0)
  return { current, watched: current.filter(({ watching }) => watching?.state === 'watching') }
}

type RelayOperations = Pick<Operations, 'relayList' | 'relayUse' | 'relayDrop'>

export function relayOperations(parts: OperationParts): RelayOperations {
  const relays = () => {
    const { relays: found } = liveOf(parts).node.delivery
    if (found === undefined) throw new MyceliumError('not-running')
    return found
  }
  const view = ({ choice, watching }: RelayInUse): RelayView => ({
    account: parts.knowledge.accounts.get(choice.account).localName,
    gateway: choice.relay.gateway,
    state: choice.retiredAtMs > 0 ? 'replaced' : (watching?.state ?? 'away'),
    sinceMs: watching?.sinceMs,
    lastSeenMs: choice.seenAtMs,
    faults: choice.faults,
    lastError: watching?.lastError,
  })
  return {
    relayList: async ({ account }) =>
      relays()
        .inUse(account === undefined ? undefined : accountOf(parts, account).identity)
        .map(view),
    async relayUse({ account, relay, capability }, { signal }) {
      const [at] = gatewaysOf('relay', [relay])
      const token = capability === undefined ? undefined : fromHex(capability)
      if (capability !== undefined && token === undefined)
        throw new MyceliumError('malformed', { setting: 'capability' })
      return view(await relays().use(accountOf(parts, account).identity, at!, { capability: token, signal }))
    },
    async relayDrop({ account, gateway }) {
      const { identity } = accountOf(parts, account)
      const found = relays()
        .inUse(identity)
        .filter(({ choice }) => choice.relay.gateway.endsWith(gateway))
      if (found.length > 1) throw new MyceliumError('ambiguous', { matches: found.length })
      if (found[0] === undefined) throw new MyceliumError('no-such-relay')
      await relays().drop(found[0])
      return { dropped: found[0].choice.relay.gateway }
    },
  }
}

/** `relay list`, `use` and `drop`: through which relays an account can be reached while its gateway is away. */
import type { Command } from 'commander'
import type { RelayView } from '../core/control-views.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'
import { table, time } from './format.ts'

type ChoiceOptions = CommonOptions & { readonly account?: string }
type UseOptions = ChoiceOptions & { readonly capabilityStdin?: boolean }

export function addRelayChoice(relay: Command, environment: Environment): void {
  const verb = (usage: string, description: string): Command =>
    withCommon(relay.command(usage)).description(description).option('--account <account>', 'where there are several')

  verb('list', 'Lists the relays in use.').action(async (options: ChoiceOptions) => {
    const relays = await withOperations(environment, options, (operations, context) =>
      operations.relayList({ account: options.account }, context),
    )
    print(environment, options, relays, relaysText)
  })

  verb('use <multiaddr>', 'Uses a relay, e.g. /ip4/203.0.113.7/tcp/4001/p2p/12D3KooW….')
    .option('--capability-stdin', 'read the capability that its owner gave you from standard input')
    .action(async (multiaddr: string, options: UseOptions) => {
      const capability = await capabilityOf(environment, options)
      const used = await withOperations(environment, options, (operations, context) =>
        operations.relayUse({ account: options.account, relay: multiaddr, capability }, context),
      )
      print(environment, options, used, (one) => `Uses ${one.gateway}. Contacts are told on their own.`)
    })

  verb('drop <gateway>', 'Does without a relay; what waits there is still fetched.').action(
    async (gateway: string, options: ChoiceOptions) => {
      const dropped = await withOperations(environment, options, (operations, context) =>
        operations.relayDrop({ account: options.account, gateway }, context),
      )
      print(environment, options, dropped, ({ dropped: id }) => `Does without ${id}.`)
    },
  )
}

async function capabilityOf({ terminal }: Environment, options: UseOptions): Promise<string | undefined> {
  if (options.capabilityStdin !== true) return undefined
  const text = (await terminal.readStdin()).trim().toLowerCase()
  if (!/^[\da-f]{32}$/.test(text)) throw new UsageError('a capability is 32 hex digits')
  return text
}

function relaysText(relays: readonly RelayView[]): string {
  if (relays.length === 0)
    return 'No relay is in use: who is away cannot be left mail. Name one with relay use, or add a contact who runs one.'
  return table(
    ['RELAY', 'ACCOUNT', 'STATE', 'SINCE', 'LAST SEEN', 'FAULTS', 'LAST ERROR'],
    relays.map((relay) => [
      `…${relay.gateway.slice(-8)}`,
      relay.account,
      relay.state,
      time(relay.sinceMs),
      time(relay.lastSeenMs),
      String(relay.faults),
      relay.lastError ?? '',
    ]),
  )
}

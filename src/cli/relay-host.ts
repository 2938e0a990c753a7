/** `relay status` and `relay grant`: what this gateway holds for others while they are away. */
import type { Command } from 'commander'
import type { Results } from '../core/control.ts'
import { formatSize } from '../core/size.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { parseDuration, time } from './format.ts'

export function addRelayHost(relay: Command, environment: Environment): void {
  withCommon(relay.command('status'))
    .description('Shows whether this gateway is a relay, and how much it holds.')
    .action(async (options: CommonOptions) => {
      const status = await withOperations(environment, options, (operations, context) =>
        operations.relayStatus({}, context),
      )
      print(environment, options, status, statusText)
    })

  withCommon(relay.command('grant'))
    .description('Makes a capability with which one account of another gateway may use this one as its relay.')
    .option('--expires <duration>', 'how long it may wait to be used', '7d')
    .action(async (options: CommonOptions & { expires: string }) => {
      const expiresMs = parseDuration(options.expires)
      const grant = await withOperations(environment, options, (operations, context) =>
        operations.relayGrant({ expiresMs }, context),
      )
      print(environment, options, grant, ({ capability, expiresAtMs }) =>
        [
          capability,
          '',
          `Good for one account until ${time(expiresAtMs)}, and then for as long as that account uses it.`,
          'The other runs: relay use MULTIADDR --capability-stdin',
        ].join('\n'),
      )
    })
}

function statusText({ on, owners, queues, entries, bytes, bytesMax }: Results['relayStatus']): string {
  const state =
    on === undefined
      ? 'unknown while the gateway is stopped'
      : on
        ? 'on'
        : 'off; turn it on with --set overlay.relay=true'
  return [
    `Relay    ${state}`,
    `Owners   ${owners}, with ${queues} queues`,
    `Holds    ${entries} entries, ${formatSize(bytes)}`,
    ...(bytesMax === undefined
      ? []
      : [`Room     ${formatSize(Math.max(0, bytesMax - bytes))} of ${formatSize(bytesMax)}`]),
  ].join('\n')
}

/** `relay`: gateways that hold mail for whoever is away, and this one as such. */
import type { Command } from 'commander'
import type { Environment } from './context.ts'
import { addRelayChoice } from './relay-choice.ts'
import { addRelayHost } from './relay-host.ts'

export function addRelay(program: Command, environment: Environment): void {
  const relay = program.command('relay').description('Gateways that hold mail for whoever is away.')
  addRelayChoice(relay, environment)
  addRelayHost(relay, environment)
}

/**
 * What contacts call the programs of an account, and which of their gateways serves one of theirs. A program's own
 * resource often says what it is and on which machine, so others see random words instead, one for each time it binds.
 */
import type { Random } from '../../../../core/ambient.ts'
import { toBase64Url } from '../../../../core/bytes.ts'
import type { DeviceId, Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { Client } from '../../client.ts'

const aliasBytes = 9

export const isAlias = (text: string): boolean => /^[\w-]{12}$/.test(text)

export class Aliases {
  readonly #random: Random
  readonly #byClient = new Map<Client, string>()
  readonly #byAlias = new Map<string, Client>()
  /** By account, contact and alias; the latest last. */
  readonly #devices = new Map<string, DeviceId>()

  constructor(random: Random) {
    this.#random = random
  }

  of(client: Client): string {
    const known = this.#byClient.get(client)
    if (known !== undefined) return known
    const made = toBase64Url(this.#random.bytes(aliasBytes))
    this.#byClient.set(client, made)
    this.#byAlias.set(made, client)
    return made
  }

  client(account: Identity, alias: string): Client | undefined {
    const found = this.#byAlias.get(alias)
    return found?.account === account ? found : undefined
  }

  gone(client: Client): void {
    const alias = this.#byClient.get(client)
    if (alias === undefined) return
    this.#byClient.delete(client)
    this.#byAlias.delete(alias)
  }

  /** A contact's program was heard. */
  heard(account: Identity, contact: Identity, alias: string, device: DeviceId): void {
    const name = account + contact + alias
    this.#devices.delete(name)
    this.#devices.set(name, device)
    if (this.#devices.size > limits.xmppCallAliasesMax) this.#devices.delete(this.#devices.keys().next().value!)
  }

  deviceOf(account: Identity, contact: Identity, alias: string): DeviceId | undefined {
    return this.#devices.get(account + contact + alias)
  }
}

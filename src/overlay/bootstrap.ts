/** Gateways named in the configuration: connected at start, and again whenever the connection is gone. */
import type { GatewayAddress } from '../core/delivery/ports.ts'
import { MyceliumError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { parseLocator } from './dial-policy.ts'
import { parseGatewayId } from './gateway-key.ts'
import type { Network } from './network.ts'

/** Reads LOCATOR/p2p/ID; `undefined` for anything else. */
export function parseBootstrap(text: string): GatewayAddress | undefined {
  const at = text.lastIndexOf('/p2p/')
  const gateway = parseGatewayId(text.slice(at + '/p2p/'.length))
  const locator = parseLocator(text.slice(0, at))
  return at < 0 || gateway === undefined || locator === undefined ? undefined : { gateway, locators: [locator.locator] }
}

/** All of one setting. @throws `malformed` for what is no locator with /p2p */
export const gatewaysOf = (setting: string, texts: readonly string[]): readonly GatewayAddress[] =>
  texts.map((text) => {
    const gateway = parseBootstrap(text)
    if (gateway === undefined) throw new MyceliumError('malformed', { setting })
    return gateway
  })

export function keepConnected(network: Network, gateways: readonly GatewayAddress[]): Disposable {
  const stopped = new AbortController()
  const connect = (): void => {
    for (const gateway of gateways) {
      if (network.path(gateway.gateway) === undefined) network.connect(gateway, stopped).catch(() => {})
    }
  }
  const timer = setInterval(connect, limits.bootstrapRetryMs).unref()
  connect()
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      stopped.abort()
    },
  }
}

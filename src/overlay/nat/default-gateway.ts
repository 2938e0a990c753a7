/** The router of the local network, as the system's routing table names it, and the own address on that network. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { promisify } from 'node:util'
import type { OwnAddress } from '../dial-policy.ts'
import { isInSubnetOf, isPrivate } from '../dial-policy.ts'

export interface Router {
  /** IPv4. */
  readonly host: string
  /** Own address in the router's network. */
  readonly own: string
}

/** `undefined` where there is none, or where it is not of a private network: nothing would have to be mapped there. */
export async function defaultRouter(addresses: readonly OwnAddress[]): Promise<Router | undefined> {
  const host = await defaultGateway().catch(() => undefined)
  if (host === undefined || !isPrivate(host)) return undefined
  const own = addresses.find((address) => address.family === 'ipv4' && isInSubnetOf(host, address))
  return own === undefined ? undefined : { host, own: own.address }
}

async function defaultGateway(): Promise<string | undefined> {
  if (process.platform === 'linux') return gatewayInRoutes(await readFile('/proc/net/route', 'utf8'))
  const run = promisify(execFile)
  const [program, args, pattern] =
    process.platform === 'win32'
      ? (['route', ['print', '-4', '0.0.0.0'], /^\s*0\.0\.0\.0\s+0\.0\.0\.0\s+(\S+)/m] as const)
      : (['route', ['-n', 'get', 'default'], /gateway:\s*(\S+)/] as const)
  const { stdout } = await run(program, args, { timeout: 5_000, maxBuffer: 256 * 1024 })
  const found = pattern.exec(stdout)?.[1]
  return found !== undefined && isIPv4(found) ? found : undefined
}

/** Of `/proc/net/route`: hexadecimal, the bytes of an address in the machine's order. The least metric wins. */
export function gatewayInRoutes(table: string): string | undefined {
  const [best] = table
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .filter(([, destination, gateway]) => destination === '00000000' && gateway !== '00000000')
    .toSorted((a, b) => Number(a[6]) - Number(b[6]))
  const gateway = best?.[2]
  if (gateway === undefined || !/^[\dA-F]{8}$/.test(gateway)) return undefined
  return [...Buffer.from(gateway, 'hex')].toReversed().join('.')
}

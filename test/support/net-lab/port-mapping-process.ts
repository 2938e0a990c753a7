/** Asks the router of its namespace for a port, in the protocol that is named; prints what it got. */
import { ownAddresses } from '../../../src/overlay/own-addresses.ts'
import { defaultRouter } from '../../../src/overlay/nat/default-gateway.ts'
import { mappers, type MappingProtocol } from '../../../src/overlay/nat/port-mapping.ts'

const [name, port, lifetimeSeconds] = process.argv.slice(2)
const router = await defaultRouter(ownAddresses())
if (router === undefined) throw new Error('no router')
const request = {
  protocol: 'tcp',
  port: Number(port),
  nonce: Buffer.alloc(12, 7),
  lifetimeSeconds: Number(lifetimeSeconds),
} as const
const mapping = await mappers[name as MappingProtocol](router, request, AbortSignal.timeout(10_000))
process.stdout.write(JSON.stringify({ router, mapping }))

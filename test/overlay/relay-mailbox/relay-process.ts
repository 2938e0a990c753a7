/** Started by the restart test and killed: a relay that takes deposits until it dies, and says which it acknowledged. */
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { signingKey } from '../../../src/core/crypto/sign.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { directRelay } from './direct.ts'
import { openRelayStore } from './support.ts'

const [path, self, gateway, ownerSeed, sendSeed, first] = process.argv.slice(2) as [
  string,
  GatewayId,
  GatewayId,
  string,
  string,
  string,
]
const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const store = await openRelayStore(path, ambient)
const relay = await directRelay({ store, ambient, self, known: new Set([gateway]) })
const sendKey = signingKey(Buffer.from(sendSeed, 'hex'))
await relay.open(signingKey(Buffer.from(ownerSeed, 'hex')), gateway)
await relay.queues(signingKey(Buffer.from(ownerSeed, 'hex')), gateway, { create: [sendKey.publicKey] })

let next = Number(first)
const depositor = async (from: GatewayId): Promise<void> => {
  for (;;) {
    const number = next
    next += 1
    const body = Buffer.alloc(4096)
    body.writeUInt32BE(number)
    const outcome = await relay.deposit(sendKey, from, { body })
    if (outcome !== 'stored') return
    process.stdout.write(`${number}\n`)
  }
}
await Promise.all(Array.from({ length: 4 }, async () => await depositor(gateway)))

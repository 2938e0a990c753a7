import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { fromUtf8 } from '../../src/core/bytes.ts'
import { limits } from '../../src/core/limits.ts'
import { openPeer, text, within } from './support.ts'

test('a hundred megabytes pass to a slow reader in bounded memory', async () => {
  await using alice = await openPeer()
  await using bob = await openPeer({ reads: 'leave' })
  const link = await alice.overlay.link(bob.address, within(20_000))
  const piece = new Uint8Array(50_000)
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  // buffers are freed beside the collector's own thread
  const held = async (): Promise<number> => {
    for (let round = 0; round < 3; round += 1) {
      collect()
      await new Promise((resolve) => {
        setTimeout(resolve, 20)
      })
    }
    return process.memoryUsage().arrayBuffers
  }
  const before = await held()
  let most = 0
  let measured = 0
  const sending = (async () => {
    for (let sent = 0; sent < 2_000; sent += 1) await link.send(piece)
  })()
  let octets = 0
  for await (const part of bob.links[0]!.incoming) {
    octets += part.length
    if (Math.floor(octets / 10_000_000) > measured) {
      measured += 1
      most = Math.max(most, await held())
    }
    if (octets === 100_000_000) break
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
  await sending
  expect(most - before).toBeLessThan(16 * 1024 * 1024)
  expect(measured).toBe(10)
})

test('a link outlives every time bound of its opening', async () => {
  await using alice = await openPeer({ transports: ['tcp', 'quic', 'ws'] })
  await using bob = await openPeer({ transports: ['tcp', 'quic', 'ws'] })
  const link = await alice.overlay.link(bob.address, { signal: AbortSignal.timeout(8_000) })
  await new Promise((resolve) => {
    setTimeout(resolve, Math.max(limits.dialMsMax, limits.linkOpenMsMax, limits.connectionUpgradeMsMax) + 500)
  })
  await link.send(fromUtf8('still here'))
  await expect.poll(() => text(bob)).toBe('still here')
  expect(alice.overlay.peers()).toMatchObject([{ transport: 'tcp+tls' }])
})

/**
 * Started by the crash tests and killed: writes numbered groups of rows until it dies, and says which are durable. A
 * group is right when all its rows are there with the same number.
 */
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { encode, u32 } from '../../../src/core/codec.ts'
import { Secret } from '../../../src/core/crypto/secret.ts'
import type { BlobRoot, Identity } from '../../../src/core/ids.ts'
import { openBlobs } from '../../../src/core/store/blobs.ts'
import { openStore } from '../../../src/core/store/lmdb-store.ts'
import { tables } from '../../../src/core/store/tables.ts'

const [mode, path, first] = process.argv.slice(2) as [string, string, string]
const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const say = (line: string): void => void process.stdout.write(`${line}\n`)
await using store = await openStore({ path: `${path}/store`, key: new Secret(new Uint8Array(32).fill(7)) }, ambient)

if (mode === 'rows') {
  let next = Number(first)
  const writer = async (): Promise<void> => {
    for (;;) {
      const group = next
      next += 1
      await store.write((tx) => {
        for (let row = 0; row < 3; row += 1)
          tx.put(
            tables.messages,
            Buffer.concat([Uint8Array.of(row), encode(u32, group)]),
            Buffer.alloc(700 * (row + 1), group % 251),
          )
      })
      say(String(group))
    }
  }
  await Promise.all(Array.from({ length: 8 }, writer))
} else {
  await using blobs = await openBlobs({ path: `${path}/blobs`, store }, ambient)
  const account = 'a1'.repeat(32) as Identity
  const chunkBytes = 64 * 1024
  const count = Number(first)
  const incoming = await blobs.openIncoming(account, 'cc'.repeat(32) as BlobRoot, {
    size: (count - 1) * chunkBytes + 5,
    chunkBytes,
  })
  for (const index of [...incoming.missing()].toSorted((a, b) => ((a * 7) % count) - ((b * 7) % count))) {
    await incoming.put(index, Buffer.alloc(index === count - 1 ? 5 : chunkBytes, index))
    say(String(index))
  }
  say(`done ${(await incoming.finish()).content}`)
}

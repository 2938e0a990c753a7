/** How fast items of 128-byte frames are read from and laid into a slab: the receive path's own cursor, the send path's own writer. */
import type { Bench } from '../scripts/bench.ts'
import { osRandom } from '../src/core/crypto/random.ts'
import { encodeItem, frameCode, ItemCursor, ItemWriter, itemBytes, TagTable } from '../src/core/session/items.ts'

const itemsPerSlab = 4096
const code = frameCode(128)

/** Items per CPU second: the median of `rounds` rounds of about `roundMs` each. */
function rate(rounds: number, roundMs: number, pass: () => number): number {
  const rates: number[] = []
  for (let round = -1; round < rounds; round += 1) {
    const started = process.cpuUsage()
    let items = 0
    let usedMs = 0
    do {
      items += pass()
      const { user, system } = process.cpuUsage(started)
      usedMs = (user + system) / 1000
    } while (usedMs < roundMs)
    if (round >= 0) rates.push((items / usedMs) * 1000)
  }
  return Math.round(rates.toSorted((a, b) => a - b)[Math.floor(rounds / 2)]!)
}

export const bench: Bench = async ({ quick, say }) => {
  const tags = Array.from({ length: 64 }, () => Buffer.from(osRandom.bytes(8)))
  const table = new TagTable<number>()
  tags.forEach((tag, index) => table.set(tag, index + 1))
  // runs of four frames of one session, as batches leave the sealing worker
  const stream = Buffer.concat(
    Array.from({ length: itemsPerSlab }, (_, index) =>
      encodeItem(tags[(index >> 2) % tags.length]!, osRandom.bytes(128)),
    ),
  )
  const cursor = new ItemCursor(table)
  let sink = 0

  function parse(pieceBytes: number, withBody: boolean): number {
    let items = 0
    for (let at = 0; at < stream.length; at += pieceBytes) {
      cursor.push(stream.subarray(at, at + pieceBytes))
      while (cursor.next()) {
        if (cursor.channel === undefined) throw new TypeError('a tag was not found')
        sink += cursor.channel
        if (withBody) sink += cursor.body().length
        items += 1
      }
    }
    if (items !== itemsPerSlab) throw new TypeError('items were lost')
    return items
  }

  const writer = new ItemWriter(Buffer.alloc(itemsPerSlab * itemBytes(code)))
  const high = Uint32Array.from(tags, (tag) => tag.readUInt32BE(0))
  const low = Uint32Array.from(tags, (tag) => tag.readUInt32BE(4))
  const frame = osRandom.bytes(128)
  function write(withFrame: boolean): number {
    writer.reset()
    for (let index = 0; index < itemsPerSlab; index += 1) {
      if (!writer.hasRoom(code)) throw new TypeError('the slab is full')
      const at = writer.header(code, high[index & 63]!, low[index & 63]!)
      if (withFrame) writer.slab.set(frame, at)
    }
    return itemsPerSlab
  }

  const rounds = quick ? 5 : 11
  const roundMs = quick ? 200 : 500
  const measure = (name: string, pass: () => number) => {
    say(name)
    return { name, unit: 'frames/s', value: rate(rounds, roundMs, pass) }
  }
  const results = [
    measure('parse_validate', () => parse(stream.length, false)),
    measure('parse_validate_body', () => parse(stream.length, true)),
    measure('parse_validate_32k_pieces', () => parse(32 * 1024, false)),
    measure('encode', () => write(false)),
    measure('encode_with_copy', () => write(true)),
  ]
  if (sink === 0) throw new TypeError('nothing was read')
  return await Promise.resolve(results)
}

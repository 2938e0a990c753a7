/** Blobs from sources that fail, lie, stall and vanish, over a real store that is closed and opened again in between. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import {
  chunkBytesFor,
  chunkCount,
  decodeChunkAnswer,
  decodeChunkRequest,
  encodeChunkAnswer,
  leafOf,
  merkleLevels,
  merkleProof,
  merkleRoot,
  sealChunk,
} from '../../../src/core/delivery/blob-chunks.ts'
import { Fetches, type FetchProgress, type WantedBlob } from '../../../src/core/delivery/fetches.ts'
import type { GatewayAddress, Overlay } from '../../../src/core/delivery/ports.ts'
import { MyceliumError, unreachable } from '../../../src/core/errors.ts'
import type { BlobRoot, GatewayId, Identity } from '../../../src/core/ids.ts'
import { openBlobs } from '../../../src/core/store/blobs.ts'
import { temporaryPlace } from '../store/support.ts'

const account = 'a1'.repeat(32) as Identity
const signal = AbortSignal.any([])
const self = 'self' as GatewayId

function blobOf(size: number) {
  const bytes = Buffer.from(Uint8Array.from({ length: size }, (_, at) => (at * 7 + (at >> 7)) & 0xff))
  const chunkBytes = chunkBytesFor(size)
  const key = new Uint8Array(32).fill(3)
  const sealed = Array.from({ length: chunkCount(size, chunkBytes) }, (_, index) =>
    sealChunk(key, index, bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes)),
  )
  const levels = merkleLevels(sealed.map((one, index) => leafOf(index, one)))
  const root: BlobRoot = merkleRoot(levels[0]!, size, chunkBytes)
  const wanted: WantedBlob = { account, root, key, size, chunkBytes, label: 'blob' }
  const answer = (index: number) => encodeChunkAnswer({ proof: merkleProof(levels, index), sealed: sealed[index]! })
  return { bytes, wanted, answer, chunks: sealed.length }
}

const manners = ['good', 'absent', 'liar', 'truncating', 'swapping', 'garbage'] as const
type Manner = (typeof manners)[number]

/** A network on which each gateway has its manner, and takes its leave after so many answers. */
function network(
  blob: ReturnType<typeof blobOf>,
  people: ReadonlyMap<GatewayId, { readonly manner: Manner; left: number }>,
) {
  const asked: { readonly gateway: GatewayId; readonly index: number }[] = []
  const ask: Overlay['ask'] = async ({ gateway }, _topic, request) => {
    const { index } = decodeChunkRequest(request)
    asked.push({ gateway, index })
    await Promise.resolve()
    const person = people.get(gateway)!
    if (person.manner === 'absent' || person.left === 0) throw new MyceliumError('unreachable')
    person.left -= 1
    return answered(blob, person.manner, index)
  }
  return { asked, overlay: { self, ask } }
}

function answered(blob: ReturnType<typeof blobOf>, manner: Manner, index: number): Uint8Array {
  const right = blob.answer(index)
  switch (manner) {
    case 'liar': {
      const { proof, sealed } = decodeChunkAnswer(right)
      const changed = Uint8Array.from(sealed)
      changed[5]! ^= 1
      return encodeChunkAnswer({ proof, sealed: changed })
    }
    case 'truncating':
      return right.subarray(0, right.length - 1)
    case 'swapping':
      return blob.answer((index + 1) % blob.chunks)
    case 'garbage':
      return Buffer.from('nothing of the kind')
    case 'good':
    case 'absent':
      return right
    default:
      return unreachable(manner)
  }
}

const addressed = (gateway: GatewayId): GatewayAddress => ({ gateway, locators: [] })
const nameOf = (at: number): GatewayId => `gateway-${at}` as GatewayId

async function world(overlay: Pick<Overlay, 'ask' | 'self'>, said: string[] = [], askHere = nobodyHere) {
  const place = temporaryPlace()
  const log = {
    ...silentLog,
    warn: (event: string, fields?: object) => void said.push(`${event} ${JSON.stringify(fields)}`),
  }
  const ambient: Ambient = { clock: systemClock, random: systemRandom, log }
  const open = async () => {
    const store = await place.open()
    const blobs = await openBlobs({ path: `${place.path}-blobs`, store }, ambient)
    return { store, blobs, fetches: new Fetches({ blobs, overlay, askHere, ambient }) }
  }
  let life = await open()
  return {
    get fetches() {
      return life.fetches
    },
    read: async (content: Parameters<typeof life.blobs.read>[1]) =>
      Buffer.concat(await Array.fromAsync(life.blobs.read(account, content))),
    /** As after a kill: nothing is saved. */
    async restart() {
      await life.blobs[Symbol.asyncDispose]()
      await life.store[Symbol.asyncDispose]()
      life = await open()
    },
    async [Symbol.asyncDispose]() {
      await life.blobs[Symbol.asyncDispose]()
      await life.store[Symbol.asyncDispose]()
      place[Symbol.dispose]()
    },
  }
}

const nobodyHere = async (_request: Uint8Array): Promise<Uint8Array | undefined> => await Promise.resolve(undefined)

test('any mixture of sources ends with the right content or is gone on with, and no stored chunk is fetched again', async () => {
  const blob = blobOf(64 * 1024 * 9 + 77)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ manner: fc.constantFrom(...manners), left: fc.nat(12) }), { minLength: 1, maxLength: 5 }),
      async (folk) => {
        const people = new Map(folk.map((person, at) => [nameOf(at), { ...person }]))
        const { asked, overlay } = network(blob, people)
        await using place = await world(overlay)
        const sources = [...people.keys()].map(addressed)
        const had = new Set<number>()
        for (let life = 0; ; life += 1) {
          place.fetches.want(blob.wanted)
          const outcome = await place.fetches.fetch(blob.wanted, sources, { signal }).catch((error: unknown) => error)
          for (const { index } of asked.splice(0)) expect(had.has(index)).toBe(false)
          if (!(outcome instanceof Error)) {
            const stored = outcome as { readonly content: Parameters<typeof place.read>[0] }
            expect((await place.read(stored.content)).equals(blob.bytes)).toBe(true)
            break
          }
          expect(outcome).toMatchObject({ code: expect.stringMatching(/^(?:unreachable|peer-misbehaved)$/) })
          const { bytes } = place.fetches.progress(blob.wanted)!
          await place.restart()
          place.fetches.want(blob.wanted)
          // what is there is known before anybody answers
          await place.fetches.fetch(blob.wanted, [], { signal }).catch(() => {})
          expect(place.fetches.progress(blob.wanted)!.bytes).toBe(bytes)
          if (life === 2) people.set(nameOf(0), { manner: 'good', left: 99 })
          if (life > 3) throw new Error('a good source did not help')
        }
      },
    ),
    { numRuns: 25 },
  )
})

test('whoever lies is named once, without what it said, and is asked nothing more', async () => {
  const blob = blobOf(64 * 1024 * 6)
  const [liar, honest] = [nameOf(0), nameOf(1)]
  const people = new Map([
    [liar, { manner: 'liar' as Manner, left: 99 }],
    [honest, { manner: 'good' as Manner, left: 2 }],
  ])
  const { asked, overlay } = network(blob, people)
  const said: string[] = []
  await using place = await world(overlay, said)
  const go = async () => await place.fetches.fetch(blob.wanted, [liar, honest].map(addressed), { signal })
  place.fetches.want(blob.wanted)
  await expect(go()).rejects.toMatchObject({ code: 'unreachable' })
  const asksOfLiar = asked.filter(({ gateway }) => gateway === liar).length
  people.get(honest)!.left = 99
  const stored = await go()
  expect((await place.read(stored.content)).equals(blob.bytes)).toBe(true)
  expect(asked.filter(({ gateway }) => gateway === liar)).toHaveLength(asksOfLiar)
  expect(
    said.every((line) => /^blob\.source-lied \{"message":"blob","gateway":"ateway-0","index":\d\}$/.test(line)),
  ).toBe(true)
  expect(said.length).toBeGreaterThan(0)
})

test('a source that stalls holds nothing up but its chunk: ended from outside, the rest is kept', async () => {
  const blob = blobOf(64 * 1024 * 5)
  const stop = new AbortController()
  const overlay = {
    self,
    ask: async (...[, , request, { signal: bounded }]: Parameters<Overlay['ask']>) => {
      const { index } = decodeChunkRequest(request)
      if (index !== 2) return blob.answer(index)
      return await new Promise<Uint8Array>((_, reject) => {
        bounded.addEventListener('abort', () => reject(bounded.reason as Error), { once: true })
      })
    },
  }
  await using place = await world(overlay)
  place.fetches.want(blob.wanted)
  const seen: FetchProgress[] = []
  place.fetches.watch((progress) => {
    seen.push(progress)
    if (progress.bytes === 4 * 64 * 1024) stop.abort(new MyceliumError('shutting-down'))
  })
  const going = place.fetches.fetch(blob.wanted, [addressed(nameOf(0))], { signal: stop.signal })
  await expect(going).rejects.toMatchObject({ code: 'shutting-down' })
  expect(seen.map(({ bytes }) => bytes)).toEqual([0, 1, 2, 3, 4].map((count) => count * 64 * 1024))
  expect(place.fetches.progress(blob.wanted)).toMatchObject({ bytes: 4 * 64 * 1024, bytesTotal: 5 * 64 * 1024 })
})

test('what this gateway holds for another of its accounts is asked of nobody else, and a descriptor with a wrong key blames no source', async () => {
  const blob = blobOf(64 * 1024 * 3)
  const said: string[] = []
  const overlay = { self, ask: async () => await Promise.reject(new Error('asked over the network')) }
  const askHere = async (request: Uint8Array) => await Promise.resolve(blob.answer(decodeChunkRequest(request).index))
  await using place = await world(overlay, said, askHere)
  const wrong = { ...blob.wanted, key: new Uint8Array(32).fill(9) }
  place.fetches.want(wrong)
  await expect(place.fetches.fetch(wrong, [addressed(self)], { signal })).rejects.toMatchObject({ code: 'malformed' })
  place.fetches.unwant(wrong)
  expect(said).toEqual([])
  place.fetches.want(blob.wanted)
  const stored = await place.fetches.fetch(blob.wanted, [addressed(self)], { signal })
  expect((await place.read(stored.content)).equals(blob.bytes)).toBe(true)
})

test('chunks that come unasked are taken when they are wanted and right, and durable then', async () => {
  const blob = blobOf(64 * 1024 * 3)
  await using place = await world({ self, ask: async () => await Promise.reject(new MyceliumError('unreachable')) })
  const chunk = (index: number) => ({ root: blob.wanted.root, index, answer: blob.answer(index) })
  expect(await place.fetches.takeChunk(account, chunk(0))).toEqual({ isSettled: false, isWhole: false })
  place.fetches.want(blob.wanted)
  expect(await place.fetches.takeChunk(account, { ...chunk(0), index: 1 })).toEqual({ isSettled: true, isWhole: false })
  for (const index of [0, 2])
    expect(await place.fetches.takeChunk(account, chunk(index))).toEqual({ isSettled: true, isWhole: false })
  expect(await place.fetches.takeChunk(account, chunk(1))).toEqual({ isSettled: true, isWhole: true })
  const stored = await place.fetches.fetch(blob.wanted, [], { signal })
  expect((await place.read(stored.content)).equals(blob.bytes)).toBe(true)
})

import { describe, expect, test } from 'vitest'
import { fromUtf8 } from '../../src/core/bytes.ts'
import { hasCode } from '../../src/core/errors.ts'
import { limits } from '../../src/core/limits.ts'
import { text, within, worlds } from './support.ts'

describe.each(worlds)('$name', ({ create }) => {
  test('bytes pass both ways over one link, whoever sends first', async () => {
    const join = create()
    await using alice = await join()
    await using bob = await join()
    const link = await alice.overlay.link(bob.address, within(20_000))
    await link.send(fromUtf8('hello '))
    await link.send(fromUtf8('bob'))
    await expect.poll(() => text(bob)).toBe('hello bob')
    const back = await bob.overlay.link(alice.address, within(20_000))
    await back.send(fromUtf8('hello alice'))
    await expect.poll(() => text(alice)).toBe('hello alice')
    expect([alice.links.length, bob.links.length]).toEqual([1, 1])
    expect([link.initiator, back.initiator]).toEqual([true, false])
    expect([link.peer, back.peer]).toEqual([bob.overlay.self, alice.overlay.self])
  })

  test('concurrent calls share one link', async () => {
    const join = create()
    await using alice = await join()
    await using bob = await join()
    const links = await Promise.all(
      Array.from({ length: 20 }, async () => await alice.overlay.link(bob.address, within(20_000))),
    )
    expect(new Set(links).size).toBe(1)
    await expect.poll(() => bob.links.length).toBe(1)
  })

  test('two gateways that open at the same instant end with the same link, and no byte is lost', async () => {
    for (let round = 0; round < 4; round += 1) {
      const join = create()
      await using alice = await join()
      await using bob = await join()
      const [ofAlice, ofBob] = await Promise.all([
        alice.overlay.link(bob.address, within(20_000)),
        bob.overlay.link(alice.address, within(20_000)),
      ])
      await ofAlice.send(fromUtf8('from alice'))
      await ofBob.send(fromUtf8('from bob'))
      await expect.poll(() => [text(bob), text(alice)]).toEqual(['from alice', 'from bob'])
      expect(ofAlice.initiator).toBe(!ofBob.initiator)
      expect([alice.links.length, bob.links.length]).toEqual([1, 1])
    }
  })

  test('a closed link is closed on both sides after what was sent arrived, and the next call opens another', async () => {
    const join = create()
    await using alice = await join()
    await using bob = await join()
    const first = await alice.overlay.link(bob.address, within(20_000))
    await first.send(fromUtf8('last words'))
    first.close('done')
    expect(first.closed.aborted).toBe(true)
    await expect(first.send(fromUtf8('x'))).rejects.toSatisfy((error) => hasCode(error, 'unreachable'))
    await expect.poll(() => bob.links[0]?.closed.aborted).toBe(true)
    await expect.poll(() => text(bob)).toBe('last words')
    const second = await bob.overlay.link(alice.address, within(20_000))
    await second.send(fromUtf8('again'))
    await expect.poll(() => text(alice)).toBe('again')
  })

  test('a reader that does not read makes the sender wait, and gets every byte once it reads', async () => {
    const join = create()
    await using alice = await join()
    await using bob = await join({ reads: 'leave' })
    const link = await alice.overlay.link(bob.address, within(20_000))
    const piece = new Uint8Array(10_000).map((_, index) => index)
    const count = 1_000
    let sent = 0
    const sending = (async () => {
      for (; sent < count; sent += 1) await link.send(piece)
    })()
    await expect.poll(() => sent * piece.length).toBeGreaterThan(limits.linkWindowBytes / 2)
    await new Promise((resolve) => {
      setTimeout(resolve, 500)
    })
    const bound = limits.linkWindowBytes + limits.linkQueueBytesMax + 2 * limits.linkSegmentBytesMax
    expect(sent * piece.length).toBeLessThan(bound)
    let octets = 0
    for await (const part of bob.links[0]!.incoming) {
      for (const [index, value] of part.entries())
        if (value !== piece[(octets + index) % piece.length]) throw new Error('wrong byte')
      octets += part.length
      if (octets === count * piece.length) break
    }
    await sending
    expect(octets).toBe(count * piece.length)
  })

  test('an ask is answered, refused, or too large, and says which', async () => {
    const join = create()
    await using alice = await join()
    await using bob = await join({
      answer: {
        bundle: async (request, { from }) => (from === alice.overlay.self ? request.toReversed() : undefined),
        blob: async (request) => new Uint8Array(request[0]! * 100_000),
      },
    })
    const ask = async (topic: 'bundle' | 'handshake' | 'blob', request: Uint8Array, answerBytesMax: number) =>
      await alice.overlay.ask(bob.address, topic, request, { ...within(20_000), answerBytesMax })
    expect(await ask('bundle', Uint8Array.of(1, 2, 3), 10)).toEqual(new Uint8Array([3, 2, 1]))
    expect((await ask('blob', Uint8Array.of(10), 1_000_000)).length).toBe(1_000_000)
    await expect(ask('handshake', Uint8Array.of(1), 10)).rejects.toMatchObject({
      code: 'peer-misbehaved',
      details: { reason: 'refused' },
    })
    await expect(ask('blob', Uint8Array.of(10), 999_999)).rejects.toMatchObject({
      code: 'peer-misbehaved',
      details: { reason: 'answer too large' },
    })
    await expect(ask('bundle', new Uint8Array(limits.askRequestBytesMax + 1), 10)).rejects.toMatchObject({
      code: 'too-large',
    })
  })

  test('more asks at once than allowed wait their turn', async () => {
    const join = create()
    let running = 0
    let most = 0
    await using alice = await join()
    await using bob = await join({
      answer: {
        blob: async (request) => {
          running += 1
          most = Math.max(most, running)
          await new Promise((resolve) => {
            setTimeout(resolve, 5)
          })
          running -= 1
          return request
        },
      },
    })
    const answers = await Promise.all(
      Array.from(
        { length: 40 },
        async (_, index) =>
          await alice.overlay.ask(bob.address, 'blob', Uint8Array.of(index), { ...within(20_000), answerBytesMax: 10 }),
      ),
    )
    expect(answers.map(([first]) => first)).toEqual(Array.from({ length: 40 }, (_, index) => index))
    expect(most).toBeLessThanOrEqual(limits.asksPerPeerMax)
  })

  test('an ask that its caller gives up stops at the answerer', async () => {
    const join = create()
    let gaveUp = false
    await using alice = await join()
    await using bob = await join({
      answer: {
        bundle: async (_, { signal }) =>
          await new Promise((resolve) => {
            signal.addEventListener('abort', () => {
              gaveUp = true
              resolve(undefined)
            })
          }),
      },
    })
    await alice.overlay.link(bob.address, within(20_000))
    const asked = alice.overlay.ask(bob.address, 'bundle', Uint8Array.of(1), { ...within(300), answerBytesMax: 10 })
    await expect(asked).rejects.toMatchObject({ name: 'TimeoutError' })
    await expect.poll(() => gaveUp).toBe(true)
  })

  test('status names who is connected, how, and the round-trip time', async () => {
    const join = create()
    await using alice = await join()
    await using bob = await join()
    await alice.overlay.link(bob.address, within(20_000))
    await expect.poll(() => alice.overlay.peers()[0]?.rttMs).toBeTypeOf('number')
    expect(alice.overlay.peers()).toMatchObject([
      { gateway: bob.overlay.self, state: 'connected', how: 'direct', lastError: undefined },
    ])
    expect(bob.reachable.map(({ gateway }) => gateway)).toEqual([alice.overlay.self])
    await bob.overlay[Symbol.asyncDispose]()
    await expect.poll(() => alice.overlay.peers()[0]?.state).toBe('disconnected')
  })

  test('nobody there is unreachable, as the overlay finds out by itself', async () => {
    const join = create()
    await using alice = await join()
    const bob = await join()
    const { address } = bob
    await bob.overlay[Symbol.asyncDispose]()
    await expect(alice.overlay.link(address, within(60_000))).rejects.toMatchObject({ code: 'unreachable' })
    await expect(alice.overlay.link(alice.address, within(20_000))).rejects.toMatchObject({ code: 'unreachable' })
  })

  test('who gives up before it begins hears so, and nothing else happens', async () => {
    const join = create()
    await using alice = await join()
    const bob = await join()
    const { address } = bob
    await bob.overlay[Symbol.asyncDispose]()
    const signal = AbortSignal.abort(new Error('changed my mind'))
    await expect(alice.overlay.link(address, { signal })).rejects.toThrow('changed my mind')
    const asked = alice.overlay.ask(address, 'bundle', Uint8Array.of(1), { signal, answerBytesMax: 1 })
    await expect(asked).rejects.toThrow('changed my mind')
    expect(alice.links).toEqual([])
  })

  test('closing does not wait for a peer that reads nothing', async () => {
    const join = create()
    await using alice = await join()
    const bob = await join({ reads: 'leave' })
    const link = await alice.overlay.link(bob.address, within(20_000))
    const sending = link.send(new Uint8Array(8_000_000))
    sending.catch(() => {})
    await alice.overlay[Symbol.asyncDispose]()
    await bob.overlay[Symbol.asyncDispose]()
    await expect(sending).rejects.toMatchObject({ code: 'unreachable' })
  })
})

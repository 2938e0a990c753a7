import fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { decode, encode } from '../../../src/core/codec.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { GatewayId, Identity } from '../../../src/core/ids.ts'
import { makeDevice } from '../../../src/core/identity/device.ts'
import {
  type DeviceLink,
  newLinkSecret,
  parseDeviceLink,
  writeDeviceLink,
} from '../../../src/core/identity/device-link.ts'
import { type AccountShown, Joiner, Linker, linkingAskCodec, type Reveal } from '../../../src/core/identity/linking.ts'
import { limits } from '../../../src/core/limits.ts'

const code = (expected: string) => expect.objectContaining({ code: expected })
const account: AccountShown = {
  kind: 'account',
  identity: 'a'.repeat(64) as Identity,
  rootKey: new Uint8Array(32).fill(1),
  grants: { link: true, name: true },
  address: 'alice@alice.example',
  localName: 'alice',
  displayName: 'Alice',
}
const newJoiner = (secret: Uint8Array) => {
  const device = makeDevice(systemRandom)
  return { device, joiner: new Joiner(secret, { device: device.id, dhPublic: device.dh.publicKey }, systemRandom) }
}
const sealedIn = (ask: Uint8Array): Uint8Array => {
  const asked = decode(linkingAskCodec, ask)
  return asked.kind === 'sealed' ? asked.sealed : expect.unreachable()
}

test('both sides see the same digits, and only they can read what follows', () => {
  const secret = newLinkSecret(systemRandom)
  const { device, joiner } = newJoiner(secret)
  const linker = new Linker(secret, joiner.hello, systemRandom)
  const { digits, reveal } = joiner.welcomed(linker.welcome, 'laptop')
  const revealed = linker.hear(sealedIn(reveal)) as Reveal
  expect(revealed).toMatchObject({ kind: 'reveal', device: device.id, name: 'laptop' })
  expect(linker.digits(revealed)).toBe(digits)
  expect(digits).toMatch(/^\d{5} \d{5} \d{5}$/)
  expect(joiner.hear(linker.say(account))).toMatchObject({ address: account.address, grants: account.grants })
  expect(linker.hear(sealedIn(joiner.say({ kind: 'page', at: 3 })))).toEqual({ kind: 'page', at: 3 })
  const page = { kind: 'page', states: [{ of: 1, state: Uint8Array.of(7) }], next: undefined } as const
  expect(joiner.hear(linker.say(page))).toMatchObject({ kind: 'page', next: undefined })
  // a second device with the same link, or the same one anew, is another linking
  expect(linker.isFor(joiner.hello)).toBe(true)
  expect(linker.isFor(newJoiner(secret).joiner.hello)).toBe(false)
})

test('somebody in between who has the link sees other digits on each side, and cannot choose them', () => {
  const secret = newLinkSecret(systemRandom)
  const { joiner } = newJoiner(secret)
  const middle = newJoiner(secret).joiner
  const towardsJoiner = new Linker(secret, joiner.hello, systemRandom)
  const shownOnNew = joiner.welcomed(towardsJoiner.welcome, 'laptop')
  const linker = new Linker(secret, middle.hello, systemRandom)
  const shownToMiddle = middle.welcomed(linker.welcome, 'laptop')
  const revealed = linker.hear(sealedIn(shownToMiddle.reveal)) as Reveal
  expect(linker.digits(revealed)).not.toBe(shownOnNew.digits)
  // neither another nonce nor another device than was committed to is taken
  const other = makeDevice(systemRandom)
  for (const changed of [
    { ...revealed, nonce: systemRandom.bytes(32) },
    { ...revealed, device: other.id },
    { ...revealed, dhPublic: other.dh.publicKey },
  ])
    expect(() => linker.digits(changed)).toThrow(code('signature-invalid'))
})

test('without the link, or with anything changed on the way, nothing opens', () => {
  const secret = newLinkSecret(systemRandom)
  const { joiner } = newJoiner(secret)
  const guessed = new Linker(newLinkSecret(systemRandom), joiner.hello, systemRandom)
  expect(() => joiner.welcomed(guessed.welcome, 'x')).toThrow(code('decryption-failed'))
  const linker = new Linker(secret, joiner.hello, systemRandom)
  const { reveal } = joiner.welcomed(linker.welcome, 'x')
  const sealed = sealedIn(reveal)
  fc.assert(
    fc.property(fc.nat({ max: sealed.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const changed = Uint8Array.from(sealed)
      changed[at]! ^= by
      expect(() => linker.hear(changed)).toThrow(code('decryption-failed'))
    }),
  )
  expect(() => joiner.hear(sealed)).toThrow(code('decryption-failed')) // its own words, sent back
  const lowOrder = { ...joiner.hello, ephemeral: new Uint8Array(32) }
  expect(() => new Linker(secret, lowOrder, systemRandom)).toThrow(code('decryption-failed'))
})

test('a link survives wrapped lines, is refused when damaged, and never grows beyond what a code can show', () => {
  const link: DeviceLink = {
    secret: newLinkSecret(systemRandom),
    expiresAtMs: Date.UTC(2026, 10, 1),
    gateway: '12D3KooWabcdefgh' as GatewayId,
    locators: Array.from({ length: 8 }, (_, index) => `/ip4/192.0.2.${index}/tcp/4001/${'x'.repeat(60)}`),
  }
  const text = writeDeviceLink(link)
  expect(text.length).toBeLessThanOrEqual(limits.deviceLinkCharsMax)
  const read = parseDeviceLink(text.replace(/(.{40})/g, '$1\r\n '))
  expect(read).toMatchObject({ expiresAtMs: link.expiresAtMs, gateway: link.gateway })
  expect(Buffer.compare(read.secret, link.secret)).toBe(0)
  expect(read.locators).toEqual(link.locators.slice(0, read.locators.length))
  expect(read.locators.length).toBeGreaterThan(1)
  fc.assert(
    fc.property(fc.integer({ min: 16, max: text.length - 1 }), (at) => {
      const digit = text[at] === 'A' ? 'B' : 'A'
      expect(() => parseDeviceLink(text.slice(0, at) + digit + text.slice(at + 1))).toThrow(code('link-invalid'))
    }),
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.base64String().map((body) => `mycelium-device:${body}`),
      ),
      (garbage) => {
        expect(() => parseDeviceLink(garbage)).toThrow(code('link-invalid'))
      },
    ),
  )
})

test('bytes that are no question are refused, and nothing else is thrown', () => {
  const { joiner } = newJoiner(newLinkSecret(systemRandom))
  const real = encode(linkingAskCodec, joiner.hello)
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 100 }),
        fc.nat({ max: real.length }).map((to) => real.subarray(0, to)),
      ),
      (bytes) => {
        try {
          decode(linkingAskCodec, bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(MyceliumError)
        }
      },
    ),
  )
})

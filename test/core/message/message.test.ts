import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BlobRoot, GroupId, Identity, MessageId, DeviceId, Address } from '../../../src/core/ids.ts'
import {
  conversationOf,
  directConversation,
  groupConversation,
  threadConversation,
} from '../../../src/core/message/conversation.ts'
import {
  decodeMessage,
  encodeMessage,
  type Message,
  messageIdOf,
  type Place,
} from '../../../src/core/message/message.ts'
import type { Content } from '../../../src/core/message/content.ts'
import type { Part } from '../../../src/core/message/part.ts'
import { MyceliumError } from '../../../src/core/errors.ts'

const id32 = <Id extends string>() =>
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex') as Id)
const octets = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes))
const words = fc.string({ unit: 'grapheme', maxLength: 40 })
const moment = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })

const content: fc.Arbitrary<Content> = fc.oneof(
  fc.record({ kind: fc.constant('inline' as const), bytes: octets(200) }),
  fc.record({
    kind: fc.constant('blob' as const),
    root: id32<BlobRoot>(),
    key: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
    size: moment,
    chunkBytes: fc.nat(),
  }),
)
const body = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('text' as const), text: words }),
    fc.record({ kind: fc.constant('html' as const), html: words }),
  ),
  { maxLength: 2 },
)
const thumbnail = fc.record({
  mediaType: fc.constant('image/png'),
  width: fc.nat(65_535),
  height: fc.nat(65_535),
  bytes: octets(100),
})
const part: fc.Arbitrary<Part> = fc.oneof(
  body.filter(({ length }) => length > 0).map(([first]) => first!),
  fc.record({
    kind: fc.constant('file' as const),
    name: words,
    mediaType: fc.constantFrom('image/png', 'application/octet-stream'),
    content,
    thumbnail: fc.option(thumbnail, { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant('reaction' as const),
    target: id32<MessageId>(),
    reactions: fc.array(fc.constantFrom('👍', '❤️', '👩‍👩‍👧‍👦'), { maxLength: 16 }),
  }),
  fc.record({ kind: fc.constant('edit' as const), target: id32<MessageId>(), body }),
  fc.record({ kind: fc.constant('redaction' as const), target: id32<MessageId>() }),
  fc.record({
    kind: fc.constant('receipt' as const),
    what: fc.constantFrom('delivered' as const, 'read' as const),
    heads: fc.array(id32<MessageId>(), { maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant('call' as const),
    protocol: fc.constantFrom('jingle' as const, 'matrix' as const),
    payload: octets(100),
  }),
  fc.record({ kind: fc.constant('group' as const), payload: octets(100) }),
  fc.record({ kind: fc.constant('extension' as const), protocol: fc.constant('xmpp' as const), payload: octets(100) }),
)
const mailPart: fc.Arbitrary<Part> = fc.record({
  kind: fc.constant('mail' as const),
  from: fc.constantFrom('' as const, 'alice@example.org' as Address),
  content,
})
const authored = {
  author: id32<Identity>(),
  device: id32<DeviceId>(),
  nonce: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
  sentAtMs: moment,
  expiresAtMs: moment,
  parents: fc.array(id32<MessageId>(), { maxLength: 5 }),
}
const place: fc.Arbitrary<Place> = fc.oneof(
  fc.record({ kind: fc.constant('direct' as const), with: id32<Identity>() }),
  fc.record({ kind: fc.constant('group' as const), group: id32<GroupId>() }),
)
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    ...authored,
    place: fc.constant(undefined),
    relations: fc.constant([]),
    parts: fc.array(mailPart, { maxLength: 2 }),
  }),
  fc.record({
    ...authored,
    place,
    relations: fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('reply' as const), to: id32<MessageId>() }),
        fc.record({ kind: fc.constant('thread' as const), root: id32<MessageId>() }),
      ),
      { maxLength: 2 },
    ),
    parts: fc.array(part, { maxLength: 4 }),
  }),
)

describe('the canonical message', () => {
  test('comes back as it was written, and its id is of its bytes', () => {
    fc.assert(
      fc.property(message, (made) => {
        const encoded = encodeMessage(made)
        expect(decodeMessage(encoded)).toEqual(made)
        expect(messageIdOf(encoded)).toBe(messageIdOf(encodeMessage(decodeMessage(encoded))))
      }),
    )
  })

  test('other bytes are another message or none, and nothing else is thrown', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (made, where, flip) => {
        const encoded = Uint8Array.from(encodeMessage(made))
        encoded[where % encoded.length]! ^= flip
        try {
          expect(Buffer.from(encodeMessage(decodeMessage(encoded)))).toEqual(Buffer.from(encoded))
        } catch (error) {
          expect(error).toBeInstanceOf(MyceliumError)
        }
      }),
    )
  })

  test('a later version, a name of a megabyte and a million parents are refused by name', () => {
    const encoded = Uint8Array.from(encodeMessage(fc.sample(message, 1)[0]!))
    encoded[0] = 3
    expect(() => decodeMessage(encoded)).toThrow('malformed')
    const [made] = fc.sample(
      message.filter((one) => one.place !== undefined),
      1,
    )
    const parents = Array.from({ length: 65 }, () => made!.author as unknown as MessageId)
    expect(() => encodeMessage({ ...made!, parents })).toThrow('too-large')
    const file: Part = {
      kind: 'file',
      name: 'x'.repeat(1_000_000),
      mediaType: 'text/plain',
      content: { kind: 'inline', bytes: new Uint8Array() },
      thumbnail: undefined,
    }
    expect(() => encodeMessage({ ...made!, parts: [file] })).toThrow('too-large')
  })
})

describe('conversations', () => {
  test('a direct one is the same from both sides, and no other has its id', () => {
    fc.assert(
      fc.property(id32<Identity>(), id32<Identity>(), id32<Identity>(), (a, b, c) => {
        fc.pre(b !== c)
        expect(directConversation(a, b)).toBe(directConversation(b, a))
        expect(conversationOf(a, { kind: 'direct', with: b })).toBe(conversationOf(b, { kind: 'direct', with: a }))
        expect(directConversation(a, b)).not.toBe(directConversation(a, c))
        expect(directConversation(a, b)).not.toBe(groupConversation(a as unknown as GroupId))
      }),
    )
  })

  test('a mail thread is its beginning and the set of those who take part, in any order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(id32<Identity>(), { minLength: 2, maxLength: 5 }), (people) => {
        const thread = (who: readonly Identity[], root = '<a@b>') => threadConversation(root, new Set(who))
        expect(thread(people)).toBe(thread(people.toReversed()))
        expect(thread(people)).not.toBe(thread(people.slice(1)))
        expect(thread(people)).not.toBe(thread(people, '<c@b>'))
      }),
    )
  })
})

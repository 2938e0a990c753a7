/** Messages between their two forms: stanzas and what the gateway keeps. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Element, el, serialise } from '../../../src/adapters/xmpp/element.ts'
import { extensionOf, mayPass, payloadsOf } from '../../../src/adapters/xmpp/messages/extension.ts'
import { withoutFallback } from '../../../src/adapters/xmpp/messages/fallback.ts'
import { ns } from '../../../src/adapters/xmpp/messages/namespaces.ts'
import { toCanonical } from '../../../src/adapters/xmpp/messages/to-canonical.ts'
import { type Sight, toXmpp } from '../../../src/adapters/xmpp/messages/to-xmpp.ts'
import { StanzaError } from '../../../src/adapters/xmpp/stanza-error.ts'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import type { Draft } from '../../../src/core/delivery/chat-post.ts'
import type { ConversationId, DeviceId, Identity, MessageId } from '../../../src/core/ids.ts'
import { encodeMessage, type Message } from '../../../src/core/message/message.ts'
import type { BodyPart, Part } from '../../../src/core/message/part.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { openWorld } from '../../support/world.ts'
import { type Again, ClientIds } from '../../../src/adapters/xmpp/messages/client-ids.ts'
import { xml } from './xml.ts'

const alice = 'aa'.repeat(32) as Identity
const bob = 'bb'.repeat(32) as Identity
const earlier = '11'.repeat(32) as MessageId
const said = '22'.repeat(32) as MessageId
const resolve = (id: string) => (id === earlier ? earlier : undefined)

const messageOf = ({ parts, relations = [] }: Draft): Message => ({
  author: bob,
  device: 'dd'.repeat(32) as DeviceId,
  nonce: new Uint8Array(16),
  sentAtMs: 1,
  expiresAtMs: 2,
  place: { kind: 'direct', with: alice },
  parents: [],
  relations,
  parts,
})

const sight: Sight = {
  account: alice,
  type: 'chat',
  by: 'alice@localhost',
  from: (author) => (author === alice ? 'alice@localhost' : 'bob@b.example'),
  to: (author) => (author === alice ? 'bob@b.example' : 'alice@localhost'),
  spoken: () => undefined,
  cited: (id) => (id === earlier ? { author: alice, text: 'first line\nsecond 🍵' } : undefined),
  urlOf: () => 'https://localhost/file',
}

function stanzaOf(draft: Draft, state: 'shown' | 'quiet' = 'shown', who: Sight = sight): Element | undefined {
  const message = messageOf(draft)
  const row = {
    state,
    conversation: 'cc'.repeat(32) as ConversationId,
    number: 1,
    rank: 1,
    receivedAtMs: 1,
    hasGap: false,
    encoded: encodeMessage(message),
    file: undefined,
    fate: 'open',
  } as const
  return toXmpp({ id: said, row, message, retraction: undefined }, who)
}

const namespaces = [
  'jabber:client',
  ...Object.values(ns),
  'eu.siacs.conversations.axolotl',
  'urn:xmpp:omemo:2',
  'http://jabber.org/protocol/pubsub#event',
  'urn:example:other',
]
const names = [
  'body',
  'subject',
  'thread',
  'reactions',
  'reaction',
  'retract',
  'apply-to',
  'replace',
  'reply',
  'fallback',
  'displayed',
  'composing',
  'active',
  'request',
  'received',
  'encrypted',
  'payload',
  'encryption',
  'x',
  'url',
  'file-sharing',
  'sources',
  'url-data',
  'no-store',
  'private',
  'result',
  'sent',
  'forwarded',
  'message',
]
const words = fc.oneof(fc.string({ unit: 'binary' }), fc.constant(''), fc.constant('x'.repeat(17_000)))
const attrs = fc.dictionary(
  fc.constantFrom('id', 'for', 'to', 'start', 'end', 'namespace', 'name', 'target', 'xml:lang'),
  fc.oneof(
    fc.constantFrom(earlier, '', '0', '999999999', '-1', 'eu.siacs.conversations.axolotl', ...Object.values(ns)),
    fc.string(),
  ),
)
const { tree } = fc.letrec<{ tree: Element }>((tie) => ({
  tree: fc.record({
    name: fc.constantFrom(...names),
    ns: fc.constantFrom(...namespaces),
    attrs,
    children: fc.array(fc.oneof({ depthSize: 'small' }, words, tie('tree')), { maxLength: 4 }),
  }),
}))
const stanza = fc
  .tuple(attrs, fc.array(tree, { maxLength: 6 }))
  .map(([given, children]) => el('message', { ...given, type: 'chat' }, children))

test('whatever a program sends means something that can be kept, or is refused in words', () => {
  fc.assert(
    fc.property(stanza, (message) => {
      try {
        const { draft } = toCanonical(message, { resolve })
        if (draft === undefined) return
        expect(draft.parts.length).toBeGreaterThan(0)
        encodeMessage(messageOf(draft))
        const hasText = draft.parts.some(({ kind }) => kind === 'text')
        const back = stanzaOf(draft, hasText ? 'shown' : 'quiet')
        for (const one of back?.children ?? [])
          if (typeof one !== 'string') expect(one.ns).not.toMatch(/^urn:xmpp:(?:carbons|mam|forward)/)
      } catch (error) {
        expect(error).toBeInstanceOf(StanzaError)
      }
    }),
    { numRuns: 2000 },
  )
})

const plain = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }).filter((text) => !/^\p{Cc}*$/u.test(text))
const text = plain.map((one): BodyPart => ({ kind: 'text', text: one }))
const payload = fc
  .record({ word: fc.string(), lang: fc.constantFrom('en', 'de') })
  .map(({ word, lang }) =>
    extensionOf([el('mood urn:example:mood', { 'xml:lang': lang }, el('happy urn:example:mood', { word }, word))]),
  )
const drafts: fc.Arbitrary<Draft> = fc.oneof(
  fc.tuple(text, fc.option(payload, { nil: undefined }), fc.boolean()).map(([body, beside, isReply]) => ({
    parts: [body, ...(beside === undefined ? [] : [beside])],
    ...(isReply ? { relations: [{ kind: 'reply', to: earlier } as const] } : {}),
  })),
  text.map((body): Draft => ({ parts: [{ kind: 'edit', target: earlier, body: [body] }] })),
  fc
    .uniqueArray(fc.constantFrom('👍', '❤️', '👩‍👩‍👧‍👦', 'ok'), { maxLength: 4 })
    .map((reactions): Draft => ({ parts: [{ kind: 'reaction', target: earlier, reactions }] })),
  fc.constant<Draft>({ parts: [{ kind: 'redaction', target: earlier }] }),
)

test('what is kept says the same after it was a stanza, in a chat and in a room', () => {
  fc.assert(
    fc.property(drafts, fc.constantFrom('chat' as const, 'groupchat' as const), (draft, type) => {
      const made = stanzaOf(draft, 'shown', { ...sight, type })
      const again = toCanonical(xml(serialise(made!)), { resolve }).draft
      expect(again).toEqual(draft)
    }),
    { numRuns: 500 },
  )
})

test('what a server says goes through neither from a program nor from another gateway', () => {
  const forged = [
    "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
    "<result xmlns='urn:xmpp:mam:2' id='1'/>",
    "<stanza-id xmlns='urn:xmpp:sid:0' by='bob@b.example' id='1'/>",
    "<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/>",
    "<event xmlns='http://jabber.org/protocol/pubsub#event'/>",
    "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>",
    "<x xmlns='jabber:x:conference' jid='a@b'/>",
    "<privilege xmlns='urn:xmpp:privilege:2'/>",
    "<received xmlns='urn:xmpp:receipts' id='1'/>",
    "<jingle xmlns='urn:xmpp:jingle:1'/>",
    "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='1'/>",
  ]
  for (const one of forged) {
    expect(mayPass(xml(one)), one).toBe(false)
    const draft = toCanonical(xml(`<message><body>hello</body>${one}</message>`), { resolve }).draft
    expect(draft, one).toEqual({ parts: [{ kind: 'text', text: 'hello' }] })
    const sent: Part = { kind: 'extension', protocol: 'xmpp', payload: fromUtf8(one) }
    expect(payloadsOf([sent]), one).toEqual([])
  }
})

test('an extension that is no XML, or more than elements, is nothing', () => {
  const passes = (payload: string) => payloadsOf([{ kind: 'extension', protocol: 'xmpp', payload: fromUtf8(payload) }])
  expect(passes("<a xmlns='urn:x'>1</a><b xmlns='urn:x'/>")).toHaveLength(2)
  for (const payload of [
    "<a xmlns='urn:x'>",
    "<a xmlns='urn:x'/></b>",
    '<a/>',
    "<!DOCTYPE a [<!ENTITY e 'e'>]><a xmlns='urn:x'>&e;</a>",
    "<a xmlns='urn:x'>&other;</a>",
    "<a xmlns='urn:x'><!-- --></a>",
    "<a xmlns='urn:x'><?php ?></a>",
    "<a xmlns='urn:x' b='1' b='2'/>",
    "<c:a xmlns='urn:x'/>",
    "<a xmlns='urn:x'>\u0001</a>",
    `${"<a xmlns='urn:x'>".repeat(40)}${'</a>'.repeat(40)}`,
  ])
    expect(passes(payload), payload).toEqual([])
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(Array.isArray(payloadsOf([{ kind: 'extension', protocol: 'xmpp', payload: bytes }]))).toBe(true)
    }),
  )
})

test('a stand-in is cut by code points, wherever it stands and however its numbers lie', () => {
  const cut = (start: string, end: string) =>
    withoutFallback(
      xml(
        `<message><fallback xmlns='urn:xmpp:fallback:0' for='urn:x'><body start='${start}' end='${end}'/></fallback></message>`,
      ),
      '🍵🍵 tea',
      'urn:x',
    )
  expect(cut('0', '3')).toBe('tea')
  expect(cut('2', '999999')).toBe('🍵🍵')
  expect(cut('3', '1')).toBe('🍵🍵 tea')
  expect(cut('-1', 'x')).toBe('🍵🍵 tea')
})

test('a message to oneself alone and hints make no message of what only signals', () => {
  const meaning = toCanonical(
    xml(
      `<message><active xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>` +
        `<displayed xmlns='urn:xmpp:chat-markers:0' id='${earlier}'/><request xmlns='urn:xmpp:receipts'/></message>`,
    ),
    { resolve },
  )
  expect(meaning).toEqual({ draft: undefined, displayed: earlier, isTyping: false })
})

test('ids of programs are found both ways, the same again is told, and the oldest are forgotten', async () => {
  await using world = await openWorld()
  const { knowledge, account } = await world.gateway('alice')
  const ids = new ClientIds(knowledge.conversations)
  const again = (id: string, originId: string | undefined, digest = 1): Again => ({
    spoken: { id, originId, wantsReceipt: true, resource: 'desk' },
    digest: new Uint8Array(16).fill(digest),
    nowMs: 1000,
  })
  const messageId = (number: number) => number.toString(16).padStart(64, '0') as MessageId
  await knowledge.store.write((tx) => {
    ids.remember(tx, account, messageId(1), again('same', 'same'))
    ids.remember(tx, account, messageId(2), again('a-long-enough-id', undefined))
    ids.remember(tx, account, messageId(3), again('1', undefined))
  })
  knowledge.store.read((tx) => {
    expect(ids.spoken(tx, account, messageId(1))).toEqual(again('same', 'same').spoken)
    expect(ids.idOf(tx, account, messageId(2))).toBe('a-long-enough-id')
    expect(ids.idOf(tx, account, messageId(9))).toBe(messageId(9))
    expect(ids.saidBefore(tx, account, again('other', 'same'))).toBe(messageId(1))
    expect(ids.saidBefore(tx, account, again('a-long-enough-id', undefined))).toBe(messageId(2))
    // other words, a counter that began anew, long ago
    expect(ids.saidBefore(tx, account, again('same', 'same', 2))).toBeUndefined()
    expect(ids.saidBefore(tx, account, again('1', undefined))).toBeUndefined()
    expect(ids.saidBefore(tx, account, { ...again('x', 'same'), nowMs: 1e12 })).toBeUndefined()
  })
})

test('only the latest ids of an account are kept', async () => {
  await using world = await openWorld()
  const { knowledge, account } = await world.gateway('alice')
  const idsMax = 100
  const ids = new ClientIds(knowledge.conversations, idsMax)
  const rows = (table: (typeof tables)['xmppIds']) => knowledge.store.read((tx) => [...tx.keys(table, {})].length)
  for (let index = 0; index < idsMax + 50; index += 1)
    await knowledge.store.write((tx) =>
      ids.remember(tx, account, index.toString(16).padStart(64, '0') as MessageId, {
        spoken: { id: `id-${index}`, originId: undefined, wantsReceipt: false, resource: undefined },
        digest: new Uint8Array(16),
        nowMs: 1,
      }),
    )
  expect(rows(tables.xmppIds)).toBe(idsMax)
  expect(rows(tables.xmppSaid)).toBe(idsMax)
})

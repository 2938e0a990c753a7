import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MyceliumError } from '../../../src/core/errors.ts'
import { groupAddress, groupDomain, groupLabel, groupOfAddress } from '../../../src/core/group/group-address.ts'
import { type EnvelopeHeader, readEnvelope, signEnvelope } from '../../../src/core/group/envelope.ts'
import { SenderChain } from '../../../src/core/group/group-keys.ts'
import {
  type GroupAction,
  type GroupOp,
  isGroupOpSigned,
  noId,
  readGroupOp,
  signGroupOp,
} from '../../../src/core/group/op.ts'
import { zoneKeyOf } from '../../../src/core/identity/names.ts'
import type { Address, DeviceId, GroupEnvelopeId, GroupId, GroupOpId, Identity } from '../../../src/core/ids.ts'
import { parseAddress } from '../../../src/core/message/address.ts'
import { deviceOf } from './support.ts'

const { key, device } = deviceOf('anna')
const raw = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const hex = raw(32).map((bytes) => Buffer.from(bytes).toString('hex'))
const id = <Id extends string>() => hex.map((text) => text as Id)
const sorted = <Id extends string>(max: number, min = 0) =>
  fc.uniqueArray(id<Id>(), { minLength: min, maxLength: max }).map((ids) => ids.toSorted())
const u32 = fc.nat({ max: 0xffff_ffff })
const time = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
  .filter((text) => !/\p{Cc}|^\s*$/u.test(text) && text.isWellFormed())
const policy = fc.record({
  post: fc.constantFrom('members' as const, 'admins' as const, 'anyone' as const),
  add: fc.constantFrom('admins' as const, 'members' as const),
  sharesHistory: fc.boolean(),
  readReceipts: fc.boolean(),
})
const cut = fc.record({ device: id<DeviceId>(), count: u32, last: id<GroupEnvelopeId>() })
const cuts = fc
  .uniqueArray(cut, { maxLength: 5, selector: (each) => each.device })
  .map((all) => all.toSorted((a, b) => (a.device < b.device ? -1 : 1)))
const signers = fc
  .uniqueArray(fc.record({ identity: id<Identity>(), device: id<DeviceId>(), signature: raw(64) }), {
    maxLength: 4,
    selector: (each) => each.identity,
  })
  .map((all) => all.toSorted((a, b) => (a.identity < b.identity ? -1 : 1)))
const member = id<Identity>()
const kind = <const Kind extends GroupAction['kind']>(value: Kind) => fc.constant(value)
const action: fc.Arbitrary<GroupAction> = fc.oneof(
  fc.record({ kind: kind('add'), member, logHead: raw(32) }),
  fc.record({ kind: kind('remove'), member, cuts }),
  fc.record({ kind: kind('leave'), cuts }),
  fc.record({ kind: kind('grant'), member }),
  fc.record({ kind: kind('revoke'), member }),
  fc.record({ kind: kind('rename'), name }),
  fc.record({ kind: kind('policy'), policy }),
  fc.record({ kind: kind('epoch'), number: u32, commitment: raw(32) }),
  fc.record({ kind: kind('checkpoint'), signers }),
  fc.record({ kind: kind('retire'), member, cut }),
)
const place = fc.oneof(
  fc.constant({ sequence: 0, previous: noId }),
  fc.record({ sequence: fc.integer({ min: 1, max: 0xffff_ffff }), previous: hex }),
)
const later: fc.Arbitrary<GroupOp> = fc
  .record({ group: id<GroupId>(), author: member, parents: sorted<GroupOpId>(8, 1), atMs: time, action, place })
  .map(({ place: { sequence, previous }, ...op }) => ({ ...op, device, sequence, previous: previous as GroupOpId }))
const first: fc.Arbitrary<GroupOp> = fc
  .record({ author: member, atMs: time, name, policy, nonce: raw(16) })
  .map(({ author, atMs, ...rest }) => ({
    group: noId as GroupId,
    author,
    device,
    sequence: 0,
    previous: noId as GroupOpId,
    parents: [],
    atMs,
    action: { kind: 'create', ...rest },
  }))
const header: fc.Arbitrary<EnvelopeHeader> = fc
  .record({
    group: id<GroupId>(),
    author: member,
    heads: sorted<GroupOpId>(5, 1),
    epoch: id<GroupOpId>(),
    index: u32,
    atMs: time,
    salt: raw(16),
    place,
  })
  .map(({ place: { sequence, previous }, ...rest }) => ({
    ...rest,
    device,
    sequence,
    previous: previous as GroupEnvelopeId,
  }))

/** With bytes as hex, so that every view of them equals every other. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]))
}
const isRefused = (read: () => unknown): boolean => {
  try {
    read()
    return false
  } catch (error) {
    expect(error).toBeInstanceOf(MyceliumError)
    return true
  }
}

describe('every format reads what it wrote, and nothing else', () => {
  test('operations', () => {
    fc.assert(
      fc.property(fc.oneof(first, later), (op) => {
        const read = readGroupOp(signGroupOp(key, op))
        expect(plain(read.op)).toEqual(plain(op))
        expect(isGroupOpSigned({ ...read, op: { ...read.op, action: { kind: 'leave', cuts: [] } } })).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('operations cut short, longer, or changed by one bit: another operation, or refused', () => {
    fc.assert(
      fc.property(fc.oneof(first, later), fc.nat(), fc.nat({ max: 7 }), (op, where, bit) => {
        const signed = signGroupOp(key, op)
        const at = where % signed.body.length
        expect(isRefused(() => readGroupOp({ ...signed, body: signed.body.subarray(0, at) }))).toBe(true)
        expect(isRefused(() => readGroupOp({ ...signed, body: Buffer.concat([signed.body, Buffer.of(0)]) }))).toBe(true)
        const body = Buffer.from(signed.body)
        body[at]! ^= 1 << bit
        const changed = { ...signed, body }
        if (!isRefused(() => readGroupOp(changed))) {
          expect(readGroupOp(changed).id).not.toBe(readGroupOp(signed).id)
          expect(isGroupOpSigned(readGroupOp(changed))).toBe(false)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('messages', () => {
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 100 }), (header, sealed) => {
        const read = readEnvelope(signEnvelope(key, header, sealed).signed)
        expect(plain(read.header)).toEqual(plain(header))
        expect(Buffer.from(read.sealed)).toEqual(Buffer.from(sealed))
      }),
      { numRuns: 300 },
    )
  })

  test('garbage is refused with a named error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        isRefused(() => readGroupOp({ body: bytes, signature: Buffer.alloc(64) }))
        isRefused(() => readEnvelope({ body: bytes, signature: Buffer.alloc(64) }))
        isRefused(() => SenderChain.decode(bytes))
      }),
      { numRuns: 2000 },
    )
  })
})

describe('addresses of groups', () => {
  test('name their group, and no zone', () => {
    fc.assert(
      fc.property(id<GroupId>(), fc.string({ unit: 'grapheme' }), (group, name) => {
        const address = groupAddress(group, name)
        expect(groupOfAddress(address)).toBe(group)
        const parsed = parseAddress(address)
        expect(parsed === undefined ? undefined : groupOfAddress(parsed)).toBe(group)
        expect(zoneKeyOf(groupDomain(group))).toBeUndefined()
      }),
    )
  })

  test('fit the bounds of DNS and of local parts', () => {
    const [label, ...rest] = groupDomain('ff'.repeat(32) as GroupId).split('.')
    expect(label!.length).toBeLessThanOrEqual(63)
    expect(rest).toEqual(['group', 'myc'])
    expect(groupLabel('Sunday Walkers, Zürich!')).toBe('sunday-walkers-zürich')
    expect(groupLabel('…')).toBe('group')
    expect(Buffer.byteLength(groupLabel('ä'.repeat(20).concat(' ').repeat(9)))).toBeLessThanOrEqual(64)
  })

  test('other addresses name none', () => {
    const domain = groupDomain('0f'.repeat(32) as GroupId)
    for (const other of ['a@b.org', 'a@group.myc', `a@${domain.slice(1)}`, `a@x.${domain}`, `a@${domain}.org`]) {
      expect(groupOfAddress(other as Address)).toBeUndefined()
    }
    const last = domain.indexOf('.') - 1
    expect(groupOfAddress(`a@${domain.slice(0, last)}b${domain.slice(last + 1)}` as Address)).toBeUndefined()
  })
})

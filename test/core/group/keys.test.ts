import { describe, expect, test } from 'vitest'
import { osRandom } from '../../../src/core/crypto/random.ts'
import { Secret } from '../../../src/core/crypto/secret.ts'
import { type AcceptedEnvelope, judgeEnvelope } from '../../../src/core/group/acceptance.ts'
import { isEnvelopeSigned, type ReadEnvelope, readEnvelope, signEnvelope } from '../../../src/core/group/envelope.ts'
import {
  type ChainHead,
  commitmentTo,
  drawSeed,
  EpochKeys,
  firstPlace,
  openGroup,
  placeAfter,
  sealGroup,
  type SendingPlace,
  SenderChain,
} from '../../../src/core/group/group-keys.ts'
import { sendingEpoch } from '../../../src/core/group/roster.ts'
import type { DeviceId, GroupEnvelopeId, GroupOpId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import {
  adding,
  deviceOf,
  granting,
  groupOf,
  identityOf,
  introduce,
  policy,
  removing,
  renaming,
  retiring,
  type Side,
  startMs,
} from './support.ts'

const dayMs = 24 * 3600_000
const moment = { random: osRandom, nowMs: startMs }
const text = (payload: Uint8Array): string => Buffer.from(payload).toString()

/** A group, its keys on one machine, and the last message of each device. */
class Room {
  readonly side: Side
  readonly places = new Map<DeviceId, SendingPlace>()
  readonly sending = new Map<GroupOpId, EpochKeys>()
  readonly named = new Map<string, GroupEnvelopeId>()

  constructor(side: Side) {
    this.side = side
  }

  /** New keys for `names`; what is handed to each of them. */
  begin(by: string, names: readonly string[]): { epoch: GroupOpId; keysFor: () => EpochKeys } {
    const seed = drawSeed(osRandom)
    const commitment = seed.read((bytes) => commitmentTo(this.side.group.id, bytes))
    const number = this.side.state.lastEpoch + 1
    const epoch = this.side.by(by, { kind: 'epoch', number, commitment })
    const devices = names.map((name) => deviceOf(name).device)
    const bytes = seed.read((each) => Buffer.from(each))
    const keysFor = () =>
      EpochKeys.fromSeed({ group: this.side.group.id, epoch, commitment }, new Secret(Buffer.from(bytes)), devices)
    this.sending.set(epoch, keysFor())
    return { epoch, keysFor }
  }

  write(
    name: string,
    payload: string,
    { epoch = sendingEpoch(this.side.state)!.op, heads = this.side.group.heads, nowMs = startMs } = {},
  ): ReadEnvelope {
    const author = deviceOf(name)
    const place = this.places.get(author.device) ?? firstPlace
    const chain = this.sending.get(epoch)!.chain(author.device)!
    const draft = { group: this.side.group.id, epoch, heads, place, payload: Buffer.from(payload) }
    const envelope = sealGroup(author, chain, draft, { ...moment, nowMs })
    this.places.set(author.device, placeAfter(envelope))
    if (place.sequence > 0) this.named.set(`${author.device}/${place.sequence - 1}`, place.previous)
    return readEnvelope(envelope.signed)
  }

  judge(envelope: ReadEnvelope, side = this.side, nowMs = startMs) {
    return judgeEnvelope(side.group, envelope, {
      nowMs,
      named: (device, sequence) => this.named.get(`${device}/${sequence}`),
    })
  }
  open(keys: EpochKeys, envelope: ReadEnvelope, nowMs = startMs) {
    const judgement = this.judge(envelope)
    if (judgement.kind !== 'accepted') throw new Error(JSON.stringify(judgement))
    return openGroup(keys, judgement.envelope, nowMs)
  }
}

const room = (names: readonly string[] = ['bert', 'cleo']): Room => new Room(groupOf('anna', names))

describe('messages of a group', () => {
  test('open at every member, in any order, once', () => {
    const here = room()
    const { keysFor } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const [bert, cleo] = [keysFor(), keysFor()]
    const sent = ['one', 'two', 'three'].map((each) => here.write('anna', each))
    for (const envelope of sent) expect(here.open(bert, envelope).kind).toBe('opened')
    for (const envelope of sent.toReversed()) expect(here.open(cleo, envelope).kind).toBe('opened')
    for (const keys of [bert, cleo]) {
      expect(here.open(keys, sent[1]!)).toEqual({ kind: 'refused', code: 'replayed' })
    }
    const answer = here.write('bert', 'answer')
    const opened = here.open(cleo, answer)
    expect(opened.kind === 'opened' && text(opened.payload)).toBe('answer')
  })

  test('are lost or too far ahead by no more than the bound', () => {
    const here = room()
    const { keysFor } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const sent = Array.from({ length: limits.groupSkippedKeysMax + 2 }, (_, index) => here.write('anna', String(index)))
    const bert = keysFor()
    expect(here.open(bert, sent.at(-1)!)).toEqual({ kind: 'refused', code: 'jump-too-far' })
    expect(here.open(bert, sent.at(-2)!).kind).toBe('opened')
    expect(bert.chain(deviceOf('anna').device)!.skipped).toBe(limits.groupSkippedKeysMax)
    expect(here.open(bert, sent.at(-1)!).kind).toBe('opened')
    expect(here.open(bert, sent[0]!, startMs + 31 * dayMs)).toEqual({ kind: 'refused', code: 'expired' })
    expect(here.open(bert, sent[0]!).kind).toBe('opened')
  })

  test('cannot be changed or forged by another member, nor by whoever hands them on', () => {
    const here = room()
    const { keysFor } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const bert = keysFor()
    const envelope = here.write('anna', 'signed')
    const { header, sealed } = envelope
    // cleo holds the chain of anna and seals with it
    const forged = signEnvelope(deviceOf('cleo').key, header, sealed)
    expect(here.judge(forged)).toMatchObject({ kind: 'refused', code: 'signature-invalid' })
    for (let at = 0; at < envelope.signed.body.length; at += 7) {
      const body = Buffer.from(envelope.signed.body)
      body[at]! ^= 1
      let read: ReadEnvelope
      try {
        read = readEnvelope({ body, signature: envelope.signed.signature })
      } catch {
        continue
      }
      expect(here.judge(read).kind).toBe('refused')
    }
    const before = Buffer.from(bert.chain(deviceOf('anna').device)!.encode())
    const other = signEnvelope(deviceOf('anna').key, header, Buffer.alloc(sealed.length))
    expect(openGroup(bert, other as AcceptedEnvelope, startMs)).toEqual({ kind: 'refused', code: 'decryption-failed' })
    expect(Buffer.from(bert.chain(deviceOf('anna').device)!.encode())).toEqual(before)
    expect(here.open(bert, envelope).kind).toBe('opened')
  })

  test('a restored snapshot never seals two messages under one key', () => {
    const here = room()
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const chain = here.sending.get(epoch)!.chain(deviceOf('anna').device)!
    const snapshot = chain.encode()
    const draft = {
      group: here.side.group.id,
      epoch,
      heads: here.side.group.heads,
      place: firstPlace,
      payload: Buffer.alloc(64),
    }
    const one = sealGroup(deviceOf('anna'), chain, draft, moment)
    const two = sealGroup(deviceOf('anna'), SenderChain.decode(snapshot), draft, moment)
    expect(two.header.index).toBe(one.header.index)
    expect(Buffer.from(two.sealed)).not.toEqual(Buffer.from(one.sealed))
  })

  test('a stored chain goes on where it was, with what it skipped', () => {
    const here = room()
    const { keysFor } = here.begin('anna', ['anna', 'bert'])
    const bert = keysFor()
    const { device } = deviceOf('anna')
    const [one, two, three] = ['one', 'two', 'three'].map((each) => here.write('anna', each))
    here.open(bert, two!)
    const restored = new EpochKeys(bert.epoch, [SenderChain.decode(bert.chain(device)!.encode())])
    expect(Buffer.from(restored.chain(device)!.encode())).toEqual(Buffer.from(bert.chain(device)!.encode()))
    expect(here.open(restored, one!).kind).toBe('opened')
    expect(here.open(restored, two!)).toEqual({ kind: 'refused', code: 'replayed' })
    expect(here.open(restored, three!).kind).toBe('opened')
  })

  test('keys that were disposed of open nothing', () => {
    const here = room()
    const { keysFor } = here.begin('anna', ['anna', 'bert'])
    const bert = keysFor()
    const chain = bert.chain(deviceOf('anna').device)!
    const envelope = here.write('anna', 'late')
    bert[Symbol.dispose]()
    expect(here.open(bert, envelope)).toEqual({ kind: 'refused', code: 'group-key-missing' })
    expect(chain.open(envelope as AcceptedEnvelope, startMs)).toEqual({ kind: 'refused', code: 'decryption-failed' })
  })
})

describe('who can read what', () => {
  test('a joiner reads from where the chains stand, and nothing before', () => {
    const here = room()
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const before = here.write('anna', 'before')
    introduce('dora')
    here.side.by('anna', adding('dora'))
    const dora = new EpochKeys(epoch)
    dora.learn(here.sending.get(epoch)!.heads(), deviceOf('anna').device)
    const after = here.write('anna', 'after')
    expect(here.open(dora, before)).toEqual({ kind: 'refused', code: 'group-key-missing' })
    const opened = here.open(dora, after)
    expect(opened.kind === 'opened' && text(opened.payload)).toBe('after')
  })

  test('a device that came later writes under a chain that a member told the others of', () => {
    const here = room()
    const { epoch, keysFor } = here.begin('anna', ['anna', 'bert'])
    const bert = keysFor()
    introduce('dora')
    here.side.by('anna', adding('dora'))
    const fresh = SenderChain.fresh(deviceOf('dora').device, osRandom)
    const told: ChainHead[] = [fresh.head()]
    here.sending.get(epoch)!.learn(told, deviceOf('anna').device)
    const envelope = here.write('dora', 'hello')
    expect(here.open(bert, envelope)).toEqual({ kind: 'refused', code: 'group-key-missing' })
    bert.learn(told, deviceOf('anna').device)
    expect(here.open(bert, envelope).kind).toBe('opened')
  })

  test('a chain that another member made up is replaced by its own device only', () => {
    const here = room()
    const { keysFor } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const bert = keysFor()
    const { device } = deviceOf('anna')
    const right = bert.chain(device)!.head()
    const wrong: ChainHead = { device, index: 0, key: Buffer.alloc(32, 7) }
    bert.learn([wrong], deviceOf('cleo').device)
    expect(Buffer.from(bert.chain(device)!.head().key)).toEqual(Buffer.from(right.key))
    bert.learn([wrong], device)
    expect(Buffer.from(bert.chain(device)!.head().key)).toEqual(Buffer.from(wrong.key))
  })

  test('who was removed has no key of the next epoch, and a wrong seed is refused', () => {
    const here = room()
    const first = here.begin('anna', ['anna', 'bert', 'cleo'])
    const cleo = first.keysFor()
    here.side.by('anna', removing('cleo'))
    const { epoch } = here.begin('anna', ['anna', 'bert'])
    const secret = here.write('anna', 'secret')
    expect(here.open(cleo, secret)).toEqual({ kind: 'refused', code: 'group-key-missing' })
    for (const device of cleo.devices()) {
      expect(cleo.chain(device)!.open(secret as AcceptedEnvelope, startMs).kind).toBe('refused')
    }
    const { commitment } = here.side.group.epoch(epoch)!
    const known = { group: here.side.group.id, epoch, commitment }
    expect(() => EpochKeys.fromSeed(known, new Secret(Buffer.alloc(32)), [])).toThrow('malformed')
  })
})

describe('what is taken from whom', () => {
  const cutAt = (envelope: ReadEnvelope) => ({
    device: envelope.header.device,
    count: envelope.header.sequence + 1,
    last: envelope.id,
  })

  test('what was sent past the cut of a removal is refused everywhere, also when it is backdated', () => {
    const here = room()
    here.begin('anna', ['anna', 'bert', 'cleo'])
    const { heads } = here.side.group
    const epoch = sendingEpoch(here.side.state)!.op
    const kept = here.write('cleo', 'kept')
    here.side.by('anna', removing('cleo', [cutAt(kept)]))
    const late = here.write('cleo', 'late', { heads, epoch })
    expect(here.judge(kept).kind).toBe('accepted')
    expect(here.judge(late)).toMatchObject({ kind: 'refused', code: 'past-cut' })
    const open = here.write('cleo', 'openly', { epoch })
    expect(here.judge(open)).toMatchObject({ kind: 'refused', code: 'not-a-member' })
  })

  test('a device without a cut has no message that stands', () => {
    const here = room()
    here.begin('anna', ['anna', 'bert', 'cleo'])
    const envelope = here.write('cleo', 'unseen by the remover')
    expect(here.judge(envelope).kind).toBe('accepted')
    here.side.by('anna', removing('cleo'))
    expect(here.judge(envelope)).toMatchObject({ kind: 'refused', code: 'past-cut' })
  })

  test('earlier messages stand when the later ones that stand name them', () => {
    const here = room()
    here.begin('anna', ['anna', 'bert', 'cleo'])
    const [one, two] = [here.write('cleo', 'one'), here.write('cleo', 'two')]
    here.side.by('anna', removing('cleo', [cutAt(two)]))
    here.named.clear()
    const removal = here.side.group.heads[0]
    expect(here.judge(one)).toEqual({ kind: 'waiting', for: 'link', removal, end: 2 })
    expect(here.judge(two).kind).toBe('accepted')
    here.named.set(`${two.header.device}/0`, two.header.previous)
    expect(here.judge(one).kind).toBe('accepted')
  })

  test('what one removal refused settles nothing of what stands before it, whatever a later removal lets stand', () => {
    const here = room()
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const { heads } = here.side.group
    const [one, two] = [here.write('cleo', 'one'), here.write('cleo', 'two')]
    here.side.by('anna', removing('cleo', [cutAt(two)]))
    const [first] = here.side.group.heads
    const late = here.write('cleo', 'late', { heads, epoch })
    here.side.by('anna', adding('cleo'))
    here.begin('anna', ['anna', 'bert', 'cleo'])
    const again = here.write('cleo', 'again')
    here.side.by('anna', removing('cleo', [cutAt(again)]))
    here.named.clear()
    expect(here.judge(again).kind).toBe('accepted')
    expect(here.judge(late)).toMatchObject({ kind: 'refused', code: 'past-cut' })
    expect(here.judge(two).kind).toBe('accepted')
    expect(here.judge(one)).toEqual({ kind: 'waiting', for: 'link', removal: first, end: 2 })
    here.named.set(`${two.header.device}/0`, two.header.previous)
    expect(here.judge(one).kind).toBe('accepted')
  })

  test('of two messages at one place, the one stands that the cut or the next one names', () => {
    const here = room()
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const { heads } = here.side.group
    const chain = here.sending.get(epoch)!.chain(deviceOf('cleo').device)!
    const snapshot = SenderChain.decode(chain.encode())
    const one = here.write('cleo', 'to anna')
    const draft = { group: here.side.group.id, epoch, heads, place: firstPlace, payload: Buffer.from('to bert') }
    const two = sealGroup(deviceOf('cleo'), snapshot, draft, moment)
    here.side.by('anna', removing('cleo', [cutAt(one)]))
    expect(here.judge(one).kind).toBe('accepted')
    expect(here.judge(two)).toMatchObject({ kind: 'refused', code: 'group-fork' })
    const next = here.write('cleo', 'next', { heads, epoch })
    here.named.set(`${next.header.device}/0`, two.id)
    expect(here.judge(one)).toMatchObject({ kind: 'refused', code: 'group-fork' })
  })

  test('who leaves is held to what it had written when it left', () => {
    const here = room()
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const { heads } = here.side.group
    const last = here.write('cleo', 'goodbye')
    here.side.by('cleo', { kind: 'leave', cuts: [cutAt(last)] })
    expect(here.judge(last).kind).toBe('accepted')
    const late = here.write('cleo', 'one more thing', { heads, epoch })
    expect(here.judge(late)).toMatchObject({ kind: 'refused', code: 'past-cut' })
  })

  test('who comes back writes in the epochs after, and nothing more in those before', () => {
    const here = room()
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const { heads } = here.side.group
    here.side.by('anna', removing('cleo'))
    here.side.by('anna', adding('cleo'))
    here.begin('anna', ['anna', 'bert', 'cleo'])
    expect(here.judge(here.write('cleo', 'back')).kind).toBe('accepted')
    expect(here.judge(here.write('cleo', 'backdated', { heads, epoch }))).toMatchObject({ code: 'past-cut' })
    expect(here.judge(here.write('cleo', 'old keys', { epoch }))).toMatchObject({ code: 'epoch-stale' })
  })

  test('who knows of a removal does not write under keys that the removed one holds', () => {
    const here = room()
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const { heads } = here.side.group
    here.side.by('anna', removing('cleo'))
    expect(here.judge(here.write('bert', 'careless', { epoch }))).toMatchObject({
      kind: 'refused',
      code: 'epoch-stale',
    })
    expect(here.judge(here.write('bert', 'unaware', { epoch, heads })).kind).toBe('accepted')
  })

  test('whose addition turns out void has written nothing', () => {
    const here = new Room(groupOf('anna', ['bert', 'cleo'], ['bert']))
    introduce('mallory')
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo', 'mallory'])
    const other = here.side.copy()
    other.by('bert', adding('mallory'))
    const envelope = here.write('mallory', 'hello', { epoch, heads: other.group.heads })
    expect(here.judge(envelope)).toEqual({ kind: 'waiting', for: 'operations' })
    expect(here.judge(envelope, other).kind).toBe('accepted')
    here.side.by('anna', removing('bert'))
    here.side.meet(other)
    expect(here.judge(envelope)).toMatchObject({ kind: 'refused', code: 'not-a-member' })
  })

  test('a retired device is cut as it was retired, and the other one of its owner goes on', () => {
    const here = room()
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    const { heads } = here.side.group
    const kept = here.write('bert', 'kept')
    here.side.by(deviceOf('bert', 1), retiring('bert', 0, 1, kept.id))
    expect(here.judge(kept).kind).toBe('accepted')
    const late = here.write('bert', 'stolen', { heads, epoch })
    expect(here.judge(late)).toMatchObject({ kind: 'refused', code: 'past-cut' })
    expect(here.side.state.members.has(identityOf('bert'))).toBe(true)
  })

  test('where only admins post, members do not, and a void grant does not help', () => {
    const here = new Room(groupOf('anna', ['bert', 'cleo'], ['bert']))
    here.side.by('anna', { kind: 'policy', policy: { ...policy, post: 'admins' } })
    const { epoch } = here.begin('anna', ['anna', 'bert', 'cleo'])
    expect(here.judge(here.write('anna', 'news')).kind).toBe('accepted')
    expect(here.judge(here.write('cleo', 'chatter'))).toMatchObject({ kind: 'refused', code: 'not-permitted' })
    const other = here.side.copy()
    other.by('bert', granting('cleo'))
    const envelope = here.write('cleo', 'as an admin', { heads: other.group.heads, epoch })
    expect(here.judge(envelope, other).kind).toBe('accepted')
    here.side.by('anna', removing('bert'))
    here.side.meet(other)
    expect(here.judge(envelope)).toMatchObject({ kind: 'refused', code: 'not-permitted' })
  })

  test('a clock a year off is refused, ahead of ours or behind what its author knew', () => {
    const here = room()
    here.begin('anna', ['anna', 'bert', 'cleo'])
    for (const nowMs of [startMs + 366 * dayMs, startMs - 366 * dayMs]) {
      expect(here.judge(here.write('bert', 'when?', { nowMs }))).toMatchObject({ kind: 'refused', code: 'clock-off' })
    }
  })

  test('a forked device, a device that nobody knows, another group', () => {
    const here = room()
    here.begin('anna', ['anna', 'bert', 'cleo'])
    const [one, two] = [here.side.copy(), here.side.copy()]
    one.by('anna', renaming('One'))
    two.by('anna', renaming('Two'))
    here.side.meet(one)
    here.side.meet(two)
    expect(here.judge(here.write('anna', 'both'))).toMatchObject({ kind: 'refused', code: 'group-fork' })
    expect(here.judge(here.write('bert', 'hello')).kind).toBe('accepted')
    const other = new Room(groupOf('dora', ['anna']))
    other.begin('dora', ['anna', 'dora'])
    expect(here.judge(other.write('anna', 'elsewhere'))).toMatchObject({ kind: 'refused', code: 'malformed' })
    const { header, sealed } = here.write('bert', 'whose?')
    const unknown = signEnvelope(deviceOf('nobody').key, { ...header, device: deviceOf('nobody').device }, sealed)
    expect(isEnvelopeSigned(unknown)).toBe(true)
    expect(here.judge(unknown)).toEqual({ kind: 'waiting', for: 'log' })
  })
})

import { describe, expect, test } from 'vitest'
import { Group } from '../../../src/core/group/group.ts'
import { readGroupOp, signGroupOp, type SignedGroupOp } from '../../../src/core/group/op.ts'
import { encodeRoster, sendingEpoch } from '../../../src/core/group/roster.ts'
import type { GroupOpId, Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import {
  adding,
  checkpoint,
  deviceOf,
  granting,
  groupOf,
  identityOf,
  introduce,
  leaving,
  newEpoch,
  policy,
  removing,
  renaming,
  retiring,
  revoking,
  services,
  Side,
  startMs,
} from './support.ts'

const everybody = ['anna', 'bert', 'cleo', 'dora', 'emil'] as const
const dayMs = 24 * 3600_000

/** Two halves of a group that did something at once, and met. */
function parted(side: Side, left: (side: Side) => void, right: (side: Side) => void): Side {
  const [one, two] = [side.copy(), side.copy()]
  left(one)
  right(two)
  one.meet(two)
  expect(Buffer.from(one.bytes).equals(Buffer.from(two.bytes))).toBe(true)
  return one
}

describe('what one after the other does', () => {
  test('the founder is a member and the admin of a new group', () => {
    const side = Side.found('anna')
    expect(side.members(...everybody)).toEqual(['anna'])
    expect(side.admins(...everybody)).toEqual(['anna'])
    expect(side.state.name).toBe('Walkers')
  })

  test('there may be any number of admins, and they lose it again', () => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora'], ['bert', 'cleo', 'dora'])
    expect(side.admins(...everybody)).toEqual(['anna', 'bert', 'cleo', 'dora'])
    side.by('dora', revoking('anna'))
    expect(side.admins(...everybody)).toEqual(['bert', 'cleo', 'dora'])
    expect(side.members(...everybody)).toEqual(['anna', 'bert', 'cleo', 'dora'])
  })

  test('who was removed comes back by a new addition, and not as an admin', () => {
    const side = groupOf('anna', ['bert'], ['bert'])
    side.by('anna', removing('bert'))
    expect(side.members(...everybody)).toEqual(['anna'])
    side.by('anna', adding('bert'))
    expect(side.members(...everybody)).toEqual(['anna', 'bert'])
    expect(side.admins(...everybody)).toEqual(['anna'])
  })

  test('when the last admin leaves, the most senior member is the admin', () => {
    const side = groupOf('anna', ['bert', 'cleo'])
    side.by('anna', leaving)
    expect(side.members(...everybody)).toEqual(['bert', 'cleo'])
    expect(side.admins(...everybody)).toEqual(['bert'])
    side.by('bert', granting('cleo'))
    expect(side.admins(...everybody)).toEqual(['cleo'])
  })

  test('policy lets members add, or not', () => {
    const side = groupOf('anna', ['bert'])
    expect(() => side.by('bert', adding('cleo'))).toThrow('not-permitted')
    side.by('anna', { kind: 'policy', policy: { ...policy, add: 'members' } })
    side.by('bert', adding('cleo'))
    expect(side.members(...everybody)).toEqual(['anna', 'bert', 'cleo'])
  })

  test('every removal makes new keys due, which any member may bring', () => {
    const side = groupOf('anna', ['bert', 'cleo'])
    expect(sendingEpoch(side.state)).toBeUndefined()
    const first = side.by('anna', newEpoch(side.state))
    expect(sendingEpoch(side.state)).toMatchObject({ op: first, number: 1 })
    side.by('anna', adding('dora'))
    expect(sendingEpoch(side.state)?.op).toBe(first)
    expect(() => side.by('bert', newEpoch(side.state))).toThrow('not-permitted')
    side.by('cleo', leaving)
    expect(sendingEpoch(side.state)).toBeUndefined()
    const second = side.by('bert', newEpoch(side.state))
    expect(sendingEpoch(side.state)).toMatchObject({ op: second, number: 2 })
  })

  test('a retired device speaks for nobody any more, and the others of its owner go on', () => {
    const side = groupOf('anna', ['bert'], ['bert'])
    side.by(deviceOf('bert', 1), retiring('bert', 0))
    expect(() => side.by('bert', renaming('Mine'))).toThrow('not-a-member')
    side.by(deviceOf('bert', 1), renaming('Ours'))
    expect(side.state.name).toBe('Ours')
    side.by('anna', retiring('bert', 1))
    expect(() => side.by(deviceOf('bert', 1), renaming('Mine'))).toThrow('not-a-member')
  })
})

describe('what happens at once', () => {
  test('a removal beats an addition', () => {
    const side = groupOf('anna', ['bert', 'cleo'], ['bert'])
    const met = parted(
      side,
      (one) => one.by('anna', removing('cleo')),
      (two) => {
        two.by('bert', removing('cleo'))
        two.by('bert', adding('cleo'))
      },
    )
    expect(met.members(...everybody)).toEqual(['anna', 'bert'])
  })

  test('a revocation beats a grant', () => {
    const side = groupOf('anna', ['bert', 'cleo'], ['bert', 'cleo'])
    const met = parted(
      side,
      (one) => one.by('anna', revoking('cleo')),
      (two) => {
        two.by('bert', revoking('cleo'))
        two.by('bert', granting('cleo'))
      },
    )
    expect(met.admins(...everybody)).toEqual(['anna', 'bert'])
  })

  test('what a removed admin did at the same time is void, and so is what rested on it', () => {
    const side = groupOf('anna', ['bert', 'cleo'], ['bert'])
    const met = parted(
      side,
      (one) => one.by('anna', removing('bert')),
      (two) => {
        two.by('bert', adding('dora'))
        two.by('bert', granting('dora'))
        two.by('dora', adding('emil'))
        two.by('dora', removing('cleo'))
      },
    )
    expect(met.members(...everybody)).toEqual(['anna', 'cleo'])
    expect(met.state.struck.size).toBe(4)
  })

  test('a revocation voids what needed an admin, and not what any member may do', () => {
    const side = groupOf('anna', ['bert', 'cleo'], ['bert'])
    side.by('anna', { kind: 'policy', policy: { ...policy, add: 'members' } })
    const met = parted(
      side,
      (one) => one.by('anna', revoking('bert')),
      (two) => {
        two.by('bert', adding('dora'))
        two.by('bert', removing('cleo'))
      },
    )
    expect(met.members(...everybody)).toEqual(['anna', 'bert', 'cleo', 'dora'])
  })

  test('of two admins who remove each other, the senior stays', () => {
    const side = groupOf('anna', ['bert', 'cleo'], ['cleo', 'bert'])
    const met = parted(
      side,
      (one) => one.by('bert', removing('cleo')),
      (two) => two.by('cleo', removing('bert')),
    )
    expect(met.members(...everybody)).toEqual(['anna', 'cleo'])
  })

  test('a junior may remove a senior who did not remove it', () => {
    const side = groupOf('anna', ['bert', 'cleo'], ['bert'])
    const met = parted(
      side,
      (one) => one.by('bert', removing('anna')),
      (two) => two.by('anna', removing('cleo')),
    )
    expect(met.members(...everybody)).toEqual(['bert', 'cleo'])
  })

  test('a circle of three removals goes to the most senior of them', () => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora'], ['bert', 'cleo', 'dora'])
    const [one, two, three] = [side.copy(), side.copy(), side.copy()]
    one.by('bert', removing('cleo'))
    two.by('cleo', removing('dora'))
    three.by('dora', removing('bert'))
    for (const other of [two, three, two]) one.meet(other)
    expect(one.members(...everybody)).toEqual(['anna', 'bert', 'dora'])
    expect(Buffer.from(one.bytes)).toEqual(Buffer.from(two.bytes))
  })

  test('a circle through a grant goes to the senior too', () => {
    // anna makes bert an admin, who removes cleo, who removes anna
    const side = groupOf('anna', ['bert', 'cleo'], ['cleo'])
    const met = parted(
      side,
      (one) => {
        one.by('anna', granting('bert'))
        one.by('bert', removing('cleo'))
      },
      (two) => two.by('cleo', removing('anna')),
    )
    expect(met.members(...everybody)).toEqual(['anna', 'bert'])
  })

  test('removals at once leave no keys to send with until somebody brings new ones for both', () => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora'], ['bert'])
    const epochs: GroupOpId[] = []
    const met = parted(
      side,
      (one) => {
        one.by('anna', removing('cleo'))
        epochs.push(one.by('anna', newEpoch(one.state, 'one')))
      },
      (two) => {
        two.by('bert', removing('dora'))
        epochs.push(two.by('bert', newEpoch(two.state, 'two')))
      },
    )
    expect(met.members(...everybody)).toEqual(['anna', 'bert'])
    expect(sendingEpoch(met.state)).toBeUndefined()
    const [one, two] = [met.copy(), met.copy()]
    epochs.push(one.by('anna', newEpoch(one.state, 'three')), two.by('bert', newEpoch(two.state, 'four')))
    one.meet(two)
    expect(sendingEpoch(one.state)?.op).toBe(epochs.slice(2).toSorted()[0])
    expect(one.state.epochs.map(({ op }) => op)).toEqual(epochs.slice(2).toSorted())
  })

  test('keys handed to somebody whose removal was void then do not count when it comes into force', () => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora'], ['bert', 'cleo'])
    const [one, two, three] = [side.copy(), side.copy(), side.copy()]
    one.by('cleo', removing('anna'))
    two.by('anna', removing('bert'))
    three.by('bert', revoking('cleo'))
    one.meet(two)
    expect(one.members(...everybody)).toEqual(['bert', 'cleo', 'dora'])
    const epoch = one.by('dora', newEpoch(one.state))
    expect(sendingEpoch(one.state)?.op).toBe(epoch)
    const { identity, device } = deviceOf('bert')
    expect(one.group.mayHold(epoch, identity, device)).toBe(true)
    one.meet(three)
    expect(one.members(...everybody)).toEqual(['anna', 'cleo', 'dora'])
    expect(sendingEpoch(one.state)).toBeUndefined()
    expect(one.group.mayHold(epoch, identity, device)).toBe(false)
  })

  test('keys made against a removal are not handed to its target, though the removal has become void', () => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora'], ['bert', 'cleo'])
    const other = side.copy()
    side.by('anna', removing('bert'))
    const epoch = side.by('anna', newEpoch(side.state))
    other.by('cleo', removing('anna'))
    side.meet(other)
    expect(side.members(...everybody)).toEqual(['bert', 'cleo', 'dora'])
    const may = (name: string, index = 0): boolean => {
      const { identity, device } = deviceOf(name, index)
      return side.group.mayHold(epoch, identity, device)
    }
    expect(['anna', 'bert', 'cleo', 'dora'].map((name) => may(name))).toEqual([false, false, true, true])
    side.by('cleo', adding('anna'))
    side.by('cleo', removing('bert'))
    side.by('cleo', adding('bert'))
    expect(may('bert')).toBe(true)
    side.by('bert', retiring('bert', 1))
    expect([may('bert', 1), may('bert', 0)]).toEqual([false, true])
  })

  test('of two names at once, the one of the senior holds', () => {
    const side = groupOf('anna', ['bert'], ['bert'])
    const met = parted(
      side,
      (one) => one.by('bert', renaming('Theirs')),
      (two) => two.by('anna', renaming('Ours')),
    )
    expect(met.state.name).toBe('Ours')
  })

  test('what a stolen device did as an admin, when its owner retired it, is void', () => {
    const side = groupOf('anna', ['bert', 'cleo'], ['bert'])
    const met = parted(
      side,
      (one) => one.by('bert', removing('anna')),
      (two) => two.by(deviceOf('bert', 1), retiring('bert', 0)),
    )
    expect(met.members(...everybody)).toEqual(['anna', 'bert', 'cleo'])
    expect(met.admins(...everybody)).toEqual(['anna', 'bert'])
  })

  test('a checkpoint of more than half of the admins ends what others backdate', () => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora', 'emil'], ['bert', 'cleo', 'dora'])
    const old = side.copy()
    old.by('dora', removing('anna'))
    expect(() => side.copy().by('bert', checkpoint(side, 'cleo'))).toThrow('not-permitted')
    side.by('bert', checkpoint(side, 'anna', 'cleo'))
    side.meet(old)
    expect(side.members(...everybody)).toEqual([...everybody])
    expect(side.admins(...everybody)).toContain('anna')
  })

  test('admins that somebody made up in the past do not vouch for a checkpoint', () => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora', 'emil'], ['bert'])
    const old = side.copy()
    for (const name of ['cleo', 'dora', 'emil']) old.by('bert', granting(name))
    old.by('bert', checkpoint(old, 'cleo', 'dora', 'emil'))
    side.by('anna', removing('bert'))
    side.meet(old)
    expect(side.members(...everybody)).toEqual(['anna', 'cleo', 'dora', 'emil'])
    expect(side.admins(...everybody)).toEqual(['anna'])
  })
})

describe('what is refused, with its name and without any change', () => {
  const side = groupOf('anna', ['bert', 'cleo'], ['bert'])
  const before = Buffer.from(side.bytes)
  const refusedAs = (op: SignedGroupOp, code: string, at = side): void => {
    const known = Buffer.from(at.bytes)
    expect(at.take(op)).toMatchObject({ kind: 'refused', code })
    expect(Buffer.from(at.bytes)).toEqual(known)
  }
  const next = () => readGroupOp(side.group.compose(deviceOf('anna'), renaming('New'), startMs)).op

  test('a forged author', () => {
    introduce('mallory')
    const forged = signGroupOp(deviceOf('mallory').key, next())
    refusedAs(forged, 'signature-invalid')
    const { key, device } = deviceOf('mallory')
    const borrowed = signGroupOp(key, { ...next(), device, sequence: 0, previous: '0'.repeat(64) as GroupOpId })
    expect(side.copy().take(borrowed)).toMatchObject({ kind: 'waiting', missing: [] })
  })

  test('a forged parent waits for what does not exist, and the next honest operation is taken', () => {
    const copy = side.copy()
    const op = signGroupOp(deviceOf('anna').key, { ...next(), parents: ['ab'.repeat(32) as GroupOpId] })
    expect(copy.take(op)).toEqual({ kind: 'waiting', missing: ['ab'.repeat(32)] })
    expect(Buffer.from(copy.bytes)).toEqual(before)
    copy.by('anna', renaming('New'))
    expect(copy.state.name).toBe('New')
  })

  test('an operation of another group', () => {
    const other = Side.found('bert')
    refusedAs(other.group.compose(deviceOf('bert'), renaming('New'), startMs), 'malformed')
  })

  test('operations that its author cannot have', () => {
    introduce('dora')
    const by = (name: string, action: Parameters<Side['by']>[1]) => {
      const own = readGroupOp(side.group.compose(deviceOf('anna'), renaming('New'), startMs)).op
      const { key, device, identity } = deviceOf(name)
      return signGroupOp(key, {
        ...own,
        author: identity,
        device,
        sequence: 0,
        previous: '0'.repeat(64) as GroupOpId,
        action,
      })
    }
    refusedAs(by('cleo', adding('dora')), 'not-permitted')
    refusedAs(by('cleo', removing('bert')), 'not-permitted')
    refusedAs(by('cleo', granting('cleo')), 'not-permitted')
    refusedAs(by('dora', leaving), 'not-a-member')
    refusedAs(by('bert', adding('cleo')), 'not-permitted')
    refusedAs(by('bert', removing('dora')), 'not-permitted')
    refusedAs(by('bert', removing('bert')), 'not-permitted')
    refusedAs(by('bert', { kind: 'epoch', number: 7, commitment: new Uint8Array(32) }), 'not-permitted')
  })

  test('two histories of one device: the second is shown to all, and nothing that knows of both', () => {
    const [one, two] = [side.copy(), side.copy()]
    one.by('anna', renaming('One'))
    two.by('anna', renaming('Two'))
    const second = [...two.group.ops()].at(-1)!
    const result = one.take(second)
    expect(result).toMatchObject({ kind: 'added', forks: [{ device: deviceOf('anna').device, second }] })
    expect([...one.state.forked]).toEqual([deviceOf('anna').device])
    expect(() => one.by('anna', renaming('Three'))).toThrow('group-fork')
    const { op } = readGroupOp(one.group.compose(deviceOf('bert'), renaming('Three'), startMs))
    const own = readGroupOp(second)
    const { key, device, identity } = deviceOf('anna')
    const both = { ...op, device, author: identity, sequence: own.op.sequence + 1, previous: own.id }
    refusedAs(signGroupOp(key, both), 'group-fork', one)
    one.by('bert', retiring('anna', 0))
    one.by(deviceOf('anna', 1), renaming('Four'))
    expect(one.state.name).toBe('Four')
  })

  test('an operation that skips, repeats or borrows its place in the chain of its device', () => {
    const op = next()
    const { key } = deviceOf('anna')
    refusedAs(signGroupOp(key, { ...op, sequence: op.sequence + 1 }), 'malformed')
    refusedAs(signGroupOp(key, { ...op, sequence: 0, previous: '0'.repeat(64) as GroupOpId }), 'group-fork')
    refusedAs(signGroupOp(key, { ...op, previous: side.group.id as string as GroupOpId }), 'malformed')
  })

  test('parents of which one is before another, in no order, or twice', () => {
    const op = next()
    const { key } = deviceOf('anna')
    const parents = [...op.parents, side.group.id as string as GroupOpId]
    refusedAs(signGroupOp(key, { ...op, parents: parents.toSorted() }), 'malformed')
    expect(() => signGroupOp(key, { ...op, parents: parents.toSorted().toReversed() })).toThrow('malformed')
    expect(() => signGroupOp(key, { ...op, parents: [op.parents[0]!, op.parents[0]!] })).toThrow('malformed')
  })

  test('a million parents, and a name of a megabyte', () => {
    const op = next()
    const { key } = deviceOf('anna')
    const many = Array.from<GroupOpId>({ length: 1_000_000 }).fill('ab'.repeat(32) as GroupOpId)
    expect(() => signGroupOp(key, { ...op, parents: many })).toThrow('too-large')
    expect(() => signGroupOp(key, { ...op, action: renaming('x'.repeat(1 << 20)) })).toThrow('too-large')
    refusedAs({ body: Buffer.alloc(32 * 1_000_000), signature: Buffer.alloc(64) }, 'too-large')
    const short = signGroupOp(key, op)
    const forged = Buffer.from(short.body)
    forged.writeUInt32BE(1_000_000, 1 + 32 * 3 + 4 + 32)
    refusedAs({ body: forged, signature: short.signature }, 'too-large')
  })

  test('a name of two lines, or of nothing', () => {
    for (const name of ['a\r\nBcc: b', '', ' ', '\0']) {
      refusedAs(signGroupOp(deviceOf('anna').key, { ...next(), action: renaming(name) }), 'malformed')
    }
  })

  test('a clock a year off, ahead of ours or behind what came before', () => {
    const { key } = deviceOf('anna')
    const later = side.copy()
    later.nowMs += 366 * dayMs
    later.by('bert', renaming('Next year'))
    refusedAs([...later.group.ops()].at(-1)!, 'clock-off')
    refusedAs(signGroupOp(key, { ...next(), atMs: startMs - 366 * dayMs }), 'clock-off')
  })
})

describe('operations that come in any order', () => {
  const history = (): readonly SignedGroupOp[] => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora'], ['bert'])
    const other = side.copy()
    side.by('anna', removing('cleo'))
    other.by('bert', renaming('Others'))
    side.meet(other)
    side.by('dora', newEpoch(side.state))
    return [...side.group.ops()]
  }

  test('wait for their parents, and give the same state', () => {
    const [first, ...others] = history()
    const straight = new Side(first!)
    for (const op of others) expect(straight.take(op).kind).toBe('added')
    const backwards = new Side(first!)
    const results = others.toReversed().map((op) => backwards.take(op).kind)
    expect(results).toEqual([...others.slice(1).map(() => 'waiting'), 'added'])
    expect(backwards.group.waiting).toBe(0)
    expect(Buffer.from(backwards.bytes)).toEqual(Buffer.from(straight.bytes))
    expect(backwards.take(others[3]!)).toEqual({ kind: 'known' })
  })

  test('wait for the log of their author', () => {
    const known = new Set<Identity>([identityOf('anna')])
    const [first, ...others] = history()
    const side = new Side(first!)
    const group = Group.open(first!, {
      hasDevice: (identity, device) => known.has(identity) && services.hasDevice(identity, device),
    })
    for (const op of others) group.add(op, startMs)
    expect(group.waiting).toBeGreaterThan(0)
    expect(group.retry()).toEqual({ kind: 'added', ids: [], forks: [] })
    known.add(identityOf('bert'))
    known.add(identityOf('dora'))
    expect(group.retry().ids.length).toBeGreaterThan(0)
    expect(group.waiting).toBe(0)
    for (const op of others) side.take(op)
    expect(group.heads).toEqual(side.group.heads)
  })

  test('a flood of orphans is bounded, and drops the oldest', () => {
    const side = groupOf('anna', [])
    const { op } = readGroupOp(side.group.compose(deviceOf('anna'), renaming('New'), startMs))
    const { key } = deviceOf('anna')
    for (let count = 0; count < limits.groupWaitingOpsMax + 100; count += 1) {
      const parent = count.toString(16).padStart(64, '0') as GroupOpId
      expect(side.take(signGroupOp(key, { ...op, parents: [parent] })).kind).toBe('waiting')
    }
    expect(side.group.waiting).toBe(limits.groupWaitingOpsMax)
    side.by('anna', renaming('New'))
    expect(side.state.name).toBe('New')
  })
})

describe('groups that are large or old', () => {
  test('states of long ago are found again, and a late operation of then gives every replica the same', () => {
    const side = groupOf('anna', ['bert', 'cleo', 'dora'], ['bert', 'cleo'])
    const late = side.copy()
    const lateId = late.by('cleo', removing('dora'))
    const other = side.copy()
    const old: { heads: readonly GroupOpId[]; bytes: Buffer }[] = []
    for (let round = 0; round < 3 * limits.groupStatesKept; round += 1) {
      side.by('anna', renaming(`by Anna ${round}`))
      other.by('bert', granting('dora'))
      other.by('bert', revoking('dora'))
      side.meet(other)
      if (round % 16 === 0) old.push({ heads: side.group.heads, bytes: Buffer.from(side.bytes) })
    }
    for (const { heads, bytes } of old) {
      expect(Buffer.from(encodeRoster(side.group.stateAt(heads)!)).equals(bytes)).toBe(true)
    }
    side.take(late.group.signed(lateId)!)
    expect(side.members(...everybody)).toEqual(['anna', 'bert', 'cleo'])
    const [first, ...others] = side.group.ops()
    const backwards = new Side(first!)
    for (const op of others.toReversed()) backwards.take(op)
    expect(backwards.group.waiting).toBe(0)
    expect(Buffer.from(backwards.bytes).equals(Buffer.from(side.bytes))).toBe(true)
    expect(backwards.group.beyond(side.group.heads)).toEqual([])
  })

  test('nobody adds the 1,001st member here, and one whom others added is taken', () => {
    const names = Array.from({ length: limits.groupMembersMax - 1 }, (_, index) => `crowd ${index}`)
    const side = groupOf('anna', names)
    expect(side.state.members.size).toBe(limits.groupMembersMax)
    expect(() => side.by('anna', adding('bert'))).toThrow('group-full')
    const { op } = readGroupOp(side.group.compose(deviceOf('anna'), renaming('New'), startMs))
    expect(side.take(signGroupOp(deviceOf('anna').key, { ...op, action: adding('bert') })).kind).toBe('added')
    expect(side.state.members.size).toBe(limits.groupMembersMax + 1)
  })
})

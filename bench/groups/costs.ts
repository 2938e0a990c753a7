/** What a group costs: one message for its sender and each reader, a removal with new keys for everybody, one operation. */
import { osRandom } from '../../src/core/crypto/random.ts'
import { Secret } from '../../src/core/crypto/secret.ts'
import { judgeEnvelope } from '../../src/core/group/acceptance.ts'
import { readEnvelope, type SignedEnvelope } from '../../src/core/group/envelope.ts'
import { Group } from '../../src/core/group/group.ts'
import {
  commitmentTo,
  drawSeed,
  EpochKeys,
  firstPlace,
  openGroup,
  placeAfter,
  sealGroup,
} from '../../src/core/group/group-keys.ts'
import { inPayloads, type Statement } from '../../src/core/delivery/groups/statements.ts'
import type { SignedGroupOp } from '../../src/core/group/op.ts'
import { sendingEpoch } from '../../src/core/group/roster.ts'
import { cpuMs, medianCpuMs } from './cpu.ts'
import { type Crowd, crowdOf, moment, nowMs } from './crowd.ts'

const payload = Buffer.alloc(200, 0x61)

/** New keys: the operation, and the founder's and a reader's chains. */
function beginEpoch({ group, act, founder, others }: Crowd): {
  sender: EpochKeys
  reader: EpochKeys
  seed: Uint8Array
} {
  const seed = drawSeed(osRandom).read((bytes) => Buffer.from(bytes))
  const commitment = commitmentTo(group.id, seed)
  act({ kind: 'epoch', number: group.state.lastEpoch + 1, commitment })
  const epoch = sendingEpoch(group.state)!.op
  const devices = [founder, ...others].map(({ device }) => device)
  const keys = () => EpochKeys.fromSeed({ group: group.id, epoch, commitment }, new Secret(Buffer.from(seed)), devices)
  return { sender: keys(), reader: keys(), seed }
}

/** As it goes to members. */
const said = (statement: Statement): Uint8Array => inPayloads([statement]).next().value!

/** Seals for a session of each member and encodes the session, which is stored before the frame leaves. */
function handOut({ sessions }: Crowd, item: Uint8Array): void {
  for (const session of sessions) {
    session.seal(item, moment)
    session.encode()
  }
}

/** CPU of the sender for one message of 200 octets to `size` members: sealed once, then framed for each of them. */
export async function sendCpuMs(
  size: number,
  { messages, rounds }: { messages: number; rounds: number },
): Promise<number> {
  const crowd = crowdOf(size)
  const { group, founder } = crowd
  const { sender } = beginEpoch(crowd)
  const epoch = sendingEpoch(group.state)!.op
  const chain = sender.chain(founder.device)!
  let place = firstPlace
  const ms = await medianCpuMs(rounds, () =>
    cpuMs(() => {
      for (let sent = 0; sent < messages; sent += 1) {
        const draft = { group: group.id, epoch, heads: group.heads, place, payload }
        const envelope = sealGroup(founder, chain, draft, moment)
        place = placeAfter(envelope)
        chain.encode()
        handOut(crowd, said({ kind: 'envelope', envelope: envelope.signed, asked: undefined }))
      }
    }),
  )
  return ms / messages
}

/** CPU of sealing one message, and of reading, judging and opening it, without the sessions: µs. */
export async function messageCpuUs(
  size: number,
  messages: number,
  rounds: number,
): Promise<{ seal: number; open: number }> {
  const crowd = crowdOf(size)
  const { group, founder } = crowd
  const { sender, reader } = beginEpoch(crowd)
  const epoch = sendingEpoch(group.state)!.op
  const chain = sender.chain(founder.device)!
  let place = firstPlace
  let sent: SignedEnvelope[] = []
  const opening: number[] = []
  const seal = await medianCpuMs(rounds, async () => {
    sent = []
    const ms = await cpuMs(() => {
      for (let count = 0; count < messages; count += 1) {
        const draft = { group: group.id, epoch, heads: group.heads, place, payload }
        const envelope = sealGroup(founder, chain, draft, moment)
        place = placeAfter(envelope)
        sent.push(envelope.signed)
      }
    })
    opening.push(
      await cpuMs(() => {
        for (const signed of sent) {
          const judgement = judgeEnvelope(group, readEnvelope(signed), { nowMs, named: () => undefined })
          if (judgement.kind !== 'accepted' || openGroup(reader, judgement.envelope, nowMs).kind !== 'opened') {
            throw new Error('a message did not open')
          }
        }
      }),
    )
    return ms
  })
  const open = opening.slice(1).toSorted((a, b) => a - b)[Math.floor(rounds / 2)]!
  return { seal: (seal / messages) * 1000, open: (open / messages) * 1000 }
}

/**
 * CPU of whoever removes one of `size` members: both operations, the seed, a chain for every device, and seed and operations
 * sealed for a session of each who stays.
 */
export async function rekeyCpuMs(size: number, rounds: number): Promise<number> {
  const crowd = crowdOf(size)
  const { group, others, act } = crowd
  let victim = 0
  return await medianCpuMs(rounds, () =>
    cpuMs(() => {
      const before = group.heads
      act({ kind: 'remove', member: others[victim]!.identity, cuts: [] })
      victim += 1
      const { sender, reader, seed } = beginEpoch(crowd)
      const ops: readonly SignedGroupOp[] = group.beyond(before)
      handOut(crowd, said({ kind: 'ops', ops }))
      handOut(crowd, said({ kind: 'seed', epoch: sender.epoch, seed }))
      sender[Symbol.dispose]()
      reader[Symbol.dispose]()
    }),
  )
}

/** CPU of taking one operation, its signature included, in a group of `size` members with as many operations: µs. */
export async function operationCpuUs(size: number, count: number): Promise<number> {
  const { group, act, others } = crowdOf(size)
  const source = group.ops()
  const first = source.next().value!
  const copy = Group.open(first, { hasDevice: () => true })
  for (const op of source) copy.add(op, nowMs)
  const before = group.heads
  for (let index = 0; index < count; index += 1) {
    act({ kind: index % 2 === 0 ? 'grant' : 'revoke', member: others[0]!.identity })
  }
  const ops = group.beyond(before)
  const ms = await cpuMs(() => {
    for (const op of ops) if (copy.add(op, nowMs).kind !== 'added') throw new Error('refused')
  })
  return (ms / count) * 1000
}

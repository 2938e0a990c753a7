/**
 * One request and one answer on a stream of its own (docs/protocol/overlay.md §4): length (4) | request, then
 * outcome (1) | length (4) | answer. Both sides bound size, time and how many run at once.
 */
import type { AskHandler } from '../core/delivery/ports.ts'
import { hasCode, MyceliumError } from '../core/errors.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { Deadline } from './deadline.ts'
import type { Pipe } from './network.ts'
import { PipeReader } from './pipe-reader.ts'
import type { AskBounds } from './protocols.ts'

export const outcomes = { answered: 0, refused: 1, busy: 2, tooLarge: 3 } as const
const lengthBytes = 4

/** @throws `unreachable` (stream lost), `peer-misbehaved` (refused, busy, oversize, slow), the signal's reason */
export async function askOver(
  pipe: Pipe,
  request: Uint8Array,
  {
    answerBytesMax,
    msMax,
    signal,
  }: { readonly answerBytesMax: number; readonly msMax: number; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  using deadline = new Deadline(msMax, signal)
  const bounded = deadline.signal
  try {
    const reader = new PipeReader(pipe, answerBytesMax + 1 + lengthBytes)
    // our side stays open until the answer is here: a QUIC stream cannot tell the answerer that we left otherwise
    pipe.write(framed(request))
    const [outcome] = await reader.exactly(1, bounded)
    if (outcome !== outcomes.answered) throw new MyceliumError('peer-misbehaved', { reason: reasonOf(outcome) })
    const octets = lengthOf(await reader.exactly(lengthBytes, bounded))
    if (octets > answerBytesMax) throw new MyceliumError('peer-misbehaved', { reason: 'answer too large', octets })
    reader.expect(octets)
    const answer = await reader.exactly(octets, bounded)
    pipe.end()
    return answer
  } catch (error) {
    pipe.abort('ask failed')
    if (deadline.isOver && !signal.aborted)
      throw new MyceliumError('peer-misbehaved', { reason: 'no answer in time' }, { cause: error })
    throw error
  }
}

const reasonOf = (outcome: number | undefined): string =>
  outcome === outcomes.refused
    ? 'refused'
    : outcome === outcomes.busy
      ? 'busy'
      : outcome === outcomes.tooLarge
        ? 'request too large'
        : 'garbled answer'

export interface Answering extends AskBounds {
  readonly handler: AskHandler
  /** Asked once the request is here; whoever may not be answered hears that we are busy. */
  readonly mayAnswer?: (signal: AbortSignal) => Promise<boolean>
}

/** Reads a request, has it answered, and sends the answer. @throws `peer-misbehaved` for what is no request */
export async function answerOver(
  pipe: Pipe,
  { from, source }: { readonly from: GatewayId; readonly source: string },
  { handler, mayAnswer, requestMax, answerMax, msMax, readMs = () => msMax }: Answering,
): Promise<void> {
  const left = new AbortController()
  using deadline = new Deadline(msMax, pipe.closed, left.signal)
  const { signal } = deadline
  const reader = new PipeReader(pipe, requestMax + lengthBytes)
  const arrived = async (octets: number): Promise<Uint8Array> => {
    using arriving = new Deadline(readMs(octets), signal)
    return await reader.exactly(octets, arriving.signal)
  }
  const octets = lengthOf(await arrived(lengthBytes))
  if (octets > requestMax) {
    refuse(pipe, outcomes.tooLarge)
    throw new MyceliumError('peer-misbehaved', { reason: 'request too large', octets })
  }
  const request = await arrived(octets)
  // an asker that ends its side, or says more, no longer waits for the answer
  let isAnswered = false
  const leave = (): void => {
    if (!isAnswered) left.abort(new MyceliumError('unreachable', { reason: 'asker left' }))
  }
  reader.handOver({ data: leave, ended: leave })
  if (mayAnswer !== undefined) {
    const isReady = await mayAnswer(signal)
    signal.throwIfAborted()
    if (!isReady) return refuse(pipe, outcomes.busy)
  }
  const answer = await handler(request, { from, source, signal })
  if (answer === undefined || answer.length > answerMax) return refuse(pipe, outcomes.refused)
  pipe.write(Uint8Array.of(outcomes.answered, ...lengthBytesOf(answer)))
  await writeSlowly(pipe, answer, signal)
  isAnswered = true
  pipe.end()
}

/** Answers without doing any work. */
export function refuse(pipe: Pipe, outcome: number): void {
  pipe.write(Uint8Array.of(outcome))
  pipe.end()
}

/** Whether an ask failed because of what the asker sent or did, not because it left. */
export const isMisbehaviour = (error: unknown): boolean => hasCode(error, 'peer-misbehaved')

/** A peer that does not read holds one answer, not the network's buffers. */
async function writeSlowly(pipe: Pipe, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  const giveUp = (): void => pipe.abort('answer not read')
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    for (let at = 0; at < bytes.length; at += limits.linkSegmentBytesMax) {
      pipe.write(bytes.subarray(at, at + limits.linkSegmentBytesMax))
      while (pipe.isFull && !signal.aborted) await pipe.drained()
      signal.throwIfAborted()
    }
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

/** In one piece: each write costs a frame, a TLS record and more. */
function framed(bytes: Uint8Array, before: readonly number[] = []): Uint8Array {
  const frame = Buffer.allocUnsafeSlow(before.length + lengthBytes + bytes.length)
  frame.set(before)
  frame.writeUInt32BE(bytes.length, before.length)
  frame.set(bytes, before.length + lengthBytes)
  return frame
}

function lengthBytesOf({ length }: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(lengthBytes)
  bytes.writeUInt32BE(length)
  return bytes
}

const lengthOf = (bytes: Uint8Array): number => Buffer.from(bytes.buffer, bytes.byteOffset, lengthBytes).readUInt32BE()

/** UIDBATCHES (RFC 10022): ranges of UIDs that hold so many messages each, newest first. */
import { limits } from '../../../core/limits.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { bad, no, ok, Refusal } from '../responses.ts'

interface BatchRange {
  readonly from: number
  readonly to: number
}

export const uidBatches: Command = {
  when: 'selected',
  run(session, args) {
    args.sp()
    const size = positive(args)
    const range = args.skip(' ') ? readRange(args) : undefined
    args.end()
    if (size < limits.imapBatchMessagesMin) {
      return no(`A batch has at least ${limits.imapBatchMessagesMin} messages`, 'TOOFEW')
    }
    if (range !== undefined && (range.to - range.from + 1) * size > limits.imapBatchesMessagesMax) {
      return no('Too many messages', 'TOOMANY')
    }
    const ranges = batches(session.selected.uids(), size, range ?? { from: 1, to: Infinity })
    session.out.line(`* UIDBATCHES (TAG "${session.tag}")${ranges.length === 0 ? '' : ` ${ranges.join(',')}`}`)
    return ok('Divided')
  },
}

function positive(args: Arguments): number {
  const value = args.digits()
  if (value === 0) throw new BadSyntax('Expected a number above zero')
  return value
}

function readRange(args: Arguments): BatchRange {
  const from = positive(args)
  args.expect(':')
  const to = positive(args)
  // RFC 10022 §3.1.5.
  if (to < from) throw new Refusal(bad('The range of batches is the wrong way round', 'CLIENTBUG'))
  return { from, to }
}

/** Batch 1 holds the highest UIDs. Ranges touch each other, and the last one of all ends with 1 (RFC 10022 §3.1.4). */
function batches(uids: Uint32Array, size: number, { from, to }: BatchRange): readonly string[] {
  const ranges: string[] = []
  const last = Math.ceil(uids.length / size)
  for (let batch = from; batch <= Math.min(to, last); batch += 1) {
    const highest = uids[uids.length - 1 - (batch - 1) * size]!
    const lowest = batch === last ? 1 : uids[uids.length - 1 - batch * size]! + 1
    ranges.push(`${highest}:${lowest}`)
  }
  return ranges
}

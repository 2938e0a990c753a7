import { createHash } from 'node:crypto'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { Address, Identity, MessageId } from '../../../src/core/ids.ts'
import type { RecipientVerdict, Submission, Submitter } from '../../../src/core/delivery/submission.ts'

export interface Stored extends Omit<Submission, 'body'> {
  readonly account: Identity
  readonly bytes: number
  readonly sha256: string
  /** The message, if it is small enough to keep. */
  readonly text: string
}

type Refusal = Extract<RecipientVerdict, { kind: 'refused' }>['code']
const verdicts: ReadonlyMap<string, Refusal> = new Map([
  ['unknown', 'no-such-recipient'],
  ['conflict', 'identity-conflict'],
  ['changed', 'key-changed'],
  ['full', 'mailbox-full'],
  ['blocked', 'blocked'],
])
const keptBytesMax = 256 * 1024

/** Keeps what was submitted in memory. The first label of a recipient's domain says what to answer. */
export class MemorySubmitter implements Submitter {
  readonly stored: Stored[] = []
  readonly #own: ReadonlySet<string>
  /** Most bytes that were handed over and not yet asked to continue. */
  pieceBytesMax = 0
  /** False: `submit` resolves without having read anything, which a real one must never do. */
  reads = true
  /** What `recipient` throws, if anything. */
  failure: MyceliumError | undefined
  /** What `submit` runs after each piece. */
  afterPiece: () => Promise<void> = async () => {}

  constructor(own: readonly string[]) {
    this.#own = new Set(own)
  }

  mayUse(_account: Identity, address: Address): boolean {
    return this.#own.has(address)
  }

  recipient(_account: Identity, address: Address): RecipientVerdict {
    if (this.failure !== undefined) throw this.failure
    const code = verdicts.get(address.slice(address.indexOf('@') + 1).split('.')[0]!)
    return code === undefined ? { kind: 'ok' } : { kind: 'refused', code }
  }

  async submit(account: Identity, { body, ...envelope }: Submission): Promise<{ readonly id: MessageId }> {
    if (!this.reads) return { id: '00' as MessageId }
    const hash = createHash('sha256')
    const kept: Uint8Array[] = []
    let bytes = 0
    for await (const piece of body) {
      hash.update(piece)
      bytes += piece.length
      this.pieceBytesMax = Math.max(this.pieceBytesMax, piece.length)
      if (bytes <= keptBytesMax) kept.push(piece.slice())
      await this.afterPiece()
    }
    const sha256 = hash.digest('hex')
    const text = Buffer.concat(kept).toString('latin1')
    if (/^X-Disk: full\r$/m.test(text)) throw new MyceliumError('disk-full')
    if (/^From: mallory/m.test(text)) throw new MyceliumError('not-your-address')
    if (/^X-Crash: yes/m.test(text)) throw new RangeError('a bug')
    this.stored.push({ account, ...envelope, bytes, sha256, text })
    return { id: sha256 as MessageId }
  }
}

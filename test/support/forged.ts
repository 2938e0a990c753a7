/** Messages that no honest gateway writes, put where the sending side takes what it sends from. */
import { randomBytes } from 'node:crypto'
import { Outbox } from '../../src/core/delivery/outbox.ts'
import type { DsnNotify } from '../../src/core/delivery/submission.ts'
import type { Address, Identity } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import type { Content } from '../../src/core/message/content.ts'
import { encodeMessage, messageIdOf } from '../../src/core/message/message.ts'
import type { TestGateway } from './world.ts'

export interface Forged {
  /** The address inside the message; the sender's own when left out. */
  readonly from?: string
  readonly content: Content
  readonly notify?: readonly DsnNotify[]
}

/** Leaves when the sender's link to the recipient opens next. */
export async function forge(
  sender: TestGateway,
  recipient: Identity,
  { from, content, notify = ['never'] }: Forged,
): Promise<void> {
  const { knowledge, account, address } = sender
  const nowMs = Date.now()
  const encoded = encodeMessage({
    author: account,
    device: knowledge.accounts.deviceSecrets(account).id,
    nonce: randomBytes(16),
    sentAtMs: nowMs,
    expiresAtMs: nowMs + limits.messageExpiryMs,
    place: undefined,
    parents: [],
    relations: [],
    parts: [{ kind: 'mail', from: (from ?? address) as Address, content }],
  })
  const message = messageIdOf(encoded)
  await knowledge.store.write((tx) =>
    new Outbox().add(
      tx,
      message,
      { encoded, envelopeId: undefined, returned: 'headers', root: undefined, head: new Uint8Array() },
      [
        {
          account,
          recipient,
          message,
          address: 'somebody@example.org' as Address,
          notify,
          originalRecipient: undefined,
          submittedAtMs: nowMs,
          submittedRunMs: 0,
          expiresAtMs: nowMs + limits.messageExpiryMs,
          ackedBy: [],
          refusedBy: [],
          delayReported: false,
        },
      ],
    ),
  )
}

export const inline = (text: string): Content => ({ kind: 'inline', bytes: Buffer.from(text, 'latin1') })

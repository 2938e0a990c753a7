/** Mail in and out of an account, as streams that the command line turns into files. */
import type { Operations } from '../core/control.ts'
import { decodeMail, encodeMail } from '../core/transfer/mail-stream.ts'
import { accountOf, type OperationParts } from './context.ts'
import { exportedMail } from './mail-export.ts'
import { MailImport } from './mail-import.ts'

export function mailOperations(parts: OperationParts): Pick<Operations, 'mailImport' | 'mailExport'> {
  return {
    async mailImport({ account }, { input, signal }) {
      const run = new MailImport(parts.knowledge, accountOf(parts, account).identity)
      for await (const event of decodeMail(input ?? nothing())) {
        signal.throwIfAborted()
        await run.take(event)
      }
      return await run.finish()
    },
    async mailExport({ account, mailbox }, { output, signal }) {
      const counts = { messages: 0 }
      const events = exportedMail(parts.knowledge, accountOf(parts, account).identity, mailbox, counts)
      for await (const piece of encodeMail(events)) {
        signal.throwIfAborted()
        await output?.(piece)
      }
      return { ...counts }
    },
  }
}

async function* nothing(): AsyncGenerator<never> {}

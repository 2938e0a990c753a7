/** The home as a stream, while everything goes on. */
import type { Operations } from '../core/control.ts'
import { readBackup } from '../home-backup.ts'
import type { OperationParts } from './context.ts'

export function backupOperations({ knowledge, paths, ambient }: OperationParts): Pick<Operations, 'backupRead'> {
  return {
    async backupRead(_params, { output = async () => {}, signal }) {
      using _ = knowledge.blobs.keepAll()
      using snapshot = knowledge.store.snapshot()
      return await readBackup({ paths, snapshot, nowMs: ambient.clock.nowMs() }, { output, signal })
    },
  }
}

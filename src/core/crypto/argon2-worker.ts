/** The thread that derives a key from a passphrase: Argon2id blocks for about 90 ms. One job, one answer, then it ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { argon2id } from './kdf.ts'

export interface Argon2Job {
  readonly passphrase: Uint8Array
  readonly salt: Uint8Array
  readonly memoryBytes: number
  readonly passes: number
  readonly length: number
}

const { passphrase, salt, memoryBytes, passes, length } = workerData as Argon2Job
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
parentPort!.postMessage(Uint8Array.from(argon2id(passphrase, salt, { memoryBytes, passes, length })))

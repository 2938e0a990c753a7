/** A key from a passphrase: Argon2id in a worker thread, because it takes from tenths of a second on. */
import { Worker } from 'node:worker_threads'
import { fromUtf8 } from '../bytes.ts'
import type { Argon2Job } from './argon2-worker.ts'
import { Secret } from './secret.ts'

const keyBytes = 32

/** NFKC, so that one passphrase typed on two keyboards is one passphrase. */
export async function passphraseKey(
  passphrase: string,
  cost: Pick<Argon2Job, 'salt' | 'memoryBytes' | 'passes'>,
): Promise<Secret> {
  const job: Argon2Job = { passphrase: fromUtf8(passphrase.normalize('NFKC')), ...cost, length: keyBytes }
  const worker = new Worker(new URL('./argon2-worker.ts', import.meta.url), { workerData: job })
  const key = await new Promise<Uint8Array>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the key derivation ended without an answer')))
  })
  return new Secret(key)
}

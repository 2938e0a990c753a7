/** The thread that reads texts for searches: one job after the other, until it is ended. */
import { parentPort } from 'node:worker_threads'
import { runSearchJob, type SearchJob } from './search-job.ts'
import type { FromSearchWorker, ToSearchWorker } from './search-thread.ts'

const port = parentPort!
const say = (message: FromSearchWorker): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
  port.postMessage(message)
}

let window = Promise.withResolvers<Uint8Array | undefined>()

async function read(from: number, to: number): Promise<Uint8Array> {
  window = Promise.withResolvers()
  say({ from, to })
  const octets = await window.promise
  if (octets === undefined) throw new Unreadable()
  return octets
}

/** The other side knows why, and says so to who asked. */
class Unreadable extends Error {
  override readonly name = 'Unreadable'
}

async function answer(job: SearchJob): Promise<void> {
  try {
    say({ answer: await runSearchJob(job, read) })
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    say({ answer: undefined })
  }
}

let last = Promise.resolve()
port.on('message', (message: ToSearchWorker) => {
  if ('window' in message) window.resolve(message.window)
  else last = last.then(async () => await answer(message))
})

/** The thread that summarises large mails: one at a time, each read through its window on the main thread. */
import { once } from 'node:events'
import { parentPort } from 'node:worker_threads'
import type { FromWorker, ToWorker } from './large-mail.ts'
import { summariseStream } from './summary.ts'

const port = parentPort!
const say = (message: FromWorker): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
  port.postMessage(message)
}

async function read(from: number, to: number): Promise<Uint8Array> {
  const answer = once(port, 'message')
  say({ from, to })
  const [message] = (await answer) as [ToWorker]
  if (!('window' in message)) throw new TypeError('not the window that was asked for')
  return message.window
}

for (;;) {
  const [message] = (await once(port, 'message')) as [ToWorker]
  if (!('size' in message)) throw new TypeError('not a mail to summarise')
  say({ summary: await summariseStream({ size: message.size, read }) })
}

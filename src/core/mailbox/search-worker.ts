/** The thread that reads texts for searches: one job after the other, until it is ended. */
import { parentPort } from 'node:worker_threads'
import { runSearchJob, type SearchJob } from './search-job.ts'

parentPort!.on('message', (job: SearchJob) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
  parentPort!.postMessage(runSearchJob(job))
})

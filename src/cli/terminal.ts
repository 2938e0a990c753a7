/** The real process as a Terminal: streams, hidden prompts, and a stop signal. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { MyceliumError } from '../core/errors.ts'
import type { Terminal } from './wiring.ts'

const stdinBytesMax = 4096

export interface Streams {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
}

export function createTerminal({ stdin, stdout, stderr }: Streams, stop: AbortSignal): Terminal {
  for (const stream of [stdout, stderr]) stream.on('error', () => {}) // whoever read our output has left
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    interactive: stdin.isTTY && stderr.isTTY,
    stop,
    async ask(question, { hidden = false } = {}) {
      const echo = new Writable({
        write(chunk: Buffer, _encoding, done) {
          if (!hidden) stderr.write(chunk)
          done()
        },
      })
      const lines = createInterface({ input: stdin, output: echo, terminal: true })
      try {
        if (hidden) stderr.write(question)
        const answer = await lines.question(hidden ? '' : question, { signal: stop })
        if (hidden) stderr.write('\n')
        return answer
      } finally {
        lines.close()
      }
    },
    async readStdin(bytesMax = stdinBytesMax) {
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of stdin as AsyncIterable<Buffer>) {
        bytes += chunk.length
        if (bytes > bytesMax) throw new MyceliumError('too-large', { bytesMax })
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
        .toString('utf8')
        .replace(/\r?\n$/, '')
    },
  }
}

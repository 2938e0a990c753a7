/** Whether a gateway listens at an address: it greets as libp2p's do. */
import { connect } from 'node:net'
import { limits } from '../../core/limits.ts'
import type { Endpoint } from './endpoint.ts'

/** multistream-select 1.0: length and text, with a line feed. */
const greeting = '\u0013/multistream/1.0.0\n'

export async function greets({ host, port }: Endpoint): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ host, port })
  const timer = setTimeout(() => resolve(false), limits.reachProbeMsMax)
  let heard = ''
  socket.setEncoding('latin1')
  socket.once('connect', () => void socket.write(greeting))
  socket.on('data', (text: string) => {
    heard += text
    if (heard.length >= greeting.length) resolve(heard.startsWith(greeting))
  })
  socket.once('error', () => resolve(false)).once('close', () => resolve(false))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

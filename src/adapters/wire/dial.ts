/** A connection that the gateway itself begins, to a server of its owner: the same channel as one that was accepted. */
import { connect } from 'node:net'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Channel } from './channel.ts'

/** @throws `unreachable` */
export async function dial(
  { host, port }: { readonly host: string; readonly port: number },
  { signal }: { readonly signal: AbortSignal },
): Promise<Channel> {
  const socket = connect({ host, port, noDelay: true })
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.wireDialMs)])
  try {
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => reject(new MyceliumError('timeout'))
      bounded.addEventListener('abort', stop, { once: true })
      socket.once('connect', resolve).once('error', reject)
    })
  } catch (error) {
    socket.destroy()
    throw new MyceliumError('unreachable', {}, { cause: error })
  }
  return new Channel(socket, undefined)
}

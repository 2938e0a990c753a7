/** Ports of this machine, for servers that cannot choose one by themselves. */
import { connect, createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

const answers = async (port: number): Promise<boolean> =>
  await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (isThere: boolean) => (): void => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('connect', end(true)).once('error', end(false))
  })

/** @param why what is said when nobody listens in time */
export async function untilListening(port: number, timeoutMs: number, why: () => string): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await answers(port))) {
    if (performance.now() > deadline) throw new Error(`nobody listens on ${port}: ${why()}`)
    await sleep(50)
  }
}

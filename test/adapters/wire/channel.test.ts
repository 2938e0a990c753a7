import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Channel } from '../../../src/adapters/wire/channel.ts'

test('however many wait for a peer that does not read, one of them listens, and all go on together', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const { port } = server.address() as { port: number }
  const client = connect(port, '127.0.0.1').pause()
  const [socket] = await accepted
  try {
    const channel = new Channel(socket, undefined)
    const before = socket.listenerCount('close')
    while (!channel.isCongested) channel.send(new Uint8Array(1024 * 1024))
    const waits = Array.from({ length: 20 }, async () => await channel.flush())
    expect(socket.listenerCount('close')).toBe(before + 1)
    client.resume()
    await Promise.all(waits)
    expect(socket.listenerCount('close')).toBe(before)
  } finally {
    client.destroy()
    socket.destroy()
    server.close()
  }
})

/** Real gateways as processes: a file is sent, both ends are killed on the way, and it is there as it was. */
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { AccountView, FileView, NewAccount } from '../../src/core/control-views.ts'
import { gateway, onLoopback, type Running, startGateway, tempHome } from './process-support.ts'

const within = { timeout: 90_000, interval: 100 }

async function json<T>(home: string, args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}
const start = async (home: string): Promise<Running> =>
  await startGateway(['--home', home, '--ports', 'auto', ...onLoopback])
const files = async (home: string): Promise<readonly FileView[]> => await json(home, ['file', 'list'])

test(
  'a file goes on after kill -9 of its receiver and of its sender, each back at another address',
  { timeout: 180_000 },
  async () => {
    using aliceHome = tempHome()
    using bobHome = tempHome()
    const [a, b] = [aliceHome.home, bobHome.home]
    await json<NewAccount>(a, ['init', '--address', 'alice@alice.example'])
    const bob = await json<NewAccount>(b, ['init', '--address', 'bob@bob.example'])
    let sender = await start(a)
    let receiver = await start(b)
    const { link } = await json<{ link: string }>(a, ['invite', 'create'])
    await json(b, ['invite', 'accept', link])
    const path = join(a, 'plan.pdf')
    const bytes = randomBytes(160 * 1024 * 1024)
    writeFileSync(path, bytes)

    const sent = await json<FileView>(a, ['file', 'send', bob.address, path, '--text', 'as agreed'])
    expect(sent).toMatchObject({ name: 'plan.pdf', mediaType: 'application/pdf', size: bytes.length, state: 'here' })
    const here = async (): Promise<number> => (await files(b))[0]?.bytes ?? 0
    await expect.poll(here, within).toBeGreaterThan(4 * 1024 * 1024)
    const before = await here()
    await receiver.end('SIGKILL')
    receiver = await start(b)
    await expect.poll(here, within).toBeGreaterThanOrEqual(before)
    await sender.end('SIGKILL')
    sender = await start(a)
    const got = join(b, 'got.pdf')
    await json(b, ['file', 'get', sent.message.slice(0, 12), '--out', got])
    expect(readFileSync(got).equals(bytes)).toBe(true)
    expect(await files(b)).toMatchObject([{ state: 'here', with: expect.any(String) as string, size: bytes.length }])
    const [account] = await json<readonly AccountView[]>(b, ['account', 'list'])
    expect(account).toMatchObject({ fileBytes: bytes.length })
    const again = await gateway(['file', 'get', sent.message, '--home', b, '--out', got])
    expect({ ...again, stdout: '' }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is there already') as string,
    })
    await sender.end('SIGTERM')
    await receiver.end('SIGTERM')
  },
)

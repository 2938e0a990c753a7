/** Real gateways as processes: two people chat from the command line, and one follows what happens. */
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import type { ChatEvent, ChatMessageView, ConversationView, NewAccount } from '../../src/core/control-views.ts'
import { gateway, onLoopback, type Running, startGateway, tempHome } from './process-support.ts'

const within = { timeout: 60_000, interval: 100 }
const executable = resolve(import.meta.dirname, '../../bin/mycelium-gateway')

async function json<T>(home: string, args: readonly string[], stdin = ''): Promise<T> {
  const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'], stdin)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}
const start = async (home: string): Promise<Running> =>
  await startGateway(['--home', home, '--ports', 'auto', ...onLoopback])
const show = async (home: string, whom: string): Promise<readonly ChatMessageView[]> =>
  await json(home, ['chat', 'show', whom])

/** `chat tail --json` as a script runs it. */
function tail(home: string, ...args: readonly string[]) {
  const child = spawn(executable, ['chat', 'tail', ...args, '--home', home, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (piece: Buffer) => (out += piece.toString()))
  const ended = new Promise<number | null>((done) => void child.once('close', done))
  return {
    events: (): readonly ChatEvent[] =>
      out
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as ChatEvent),
    async end(): Promise<number | null> {
      child.kill('SIGINT')
      return await ended
    },
  }
}

test('two people chat from the command line: send, reply, edit, react, delete, show, list, read and tail', async () => {
  using aliceHome = tempHome()
  using bobHome = tempHome()
  const [a, b] = [aliceHome.home, bobHome.home]
  const alice = await json<NewAccount>(a, ['init', '--address', 'alice@alice.example'])
  const bob = await json<NewAccount>(b, ['init', '--address', 'bob@bob.example'])
  await using first = await start(a)
  const second = await start(b)
  const { link } = await json<{ link: string }>(a, ['invite', 'create'])
  await json(b, ['invite', 'accept', link])

  const following = tail(b, '--after', '0')
  const question = await json<ChatMessageView>(b, ['chat', 'send', alice.address], 'are you there?\nthis is bob')
  await expect.poll(async () => (await show(a, bob.address)).map(({ text }) => text), within).toEqual([question.text])
  const answer = await json<ChatMessageView>(a, [
    'chat',
    'send',
    bob.address,
    'yse',
    '--reply-to',
    question.id.slice(0, 8),
  ])
  expect(answer).toMatchObject({ replyTo: question.id, author: { own: true } })
  await json(a, ['chat', 'edit', answer.id, 'yes'])
  await expect
    .poll(async () => (await show(b, alice.address)).at(-1), within)
    .toMatchObject({ id: answer.id, text: 'yes' })
  await json(b, ['chat', 'react', answer.id.slice(0, 12), '👍'])
  const wrong = await json<ChatMessageView>(b, ['chat', 'send', alice.address, 'oops'])
  await json(b, ['chat', 'delete', wrong.id])
  await expect
    .poll(async () => await show(a, bob.address), within)
    .toMatchObject([
      { id: question.id, author: { own: false } },
      { id: answer.id, reactions: [{ who: { identity: bob.identity }, reactions: ['👍'] }], state: 'delivered' },
      { id: wrong.id, deleted: true },
    ])

  expect(await json<readonly ConversationView[]>(a, ['chat', 'list'])).toMatchObject([
    { kind: 'direct', messages: 3, unread: 2 },
  ])
  expect(await json(a, ['chat', 'read', bob.address])).toMatchObject({ unread: 0 })
  const denied = await gateway(['chat', 'delete', answer.id, '--home', b])
  expect(denied).toMatchObject({ code: 1, stderr: expect.stringContaining('somebody else') as string })

  await expect.poll(() => following.events().map(({ kind }) => kind), within).toContain('about')
  const numbers = following.events().map(({ number }) => number)
  expect(numbers).toEqual(numbers.map((_, index) => index + 1))
  expect(await following.end()).toBe(0)

  // who follows from where it was gets what came meanwhile, also over a restart
  await second.end('SIGTERM')
  await json(a, ['chat', 'send', bob.address, 'while you were off'])
  await using _ = await start(b)
  const resumed = tail(b, '--after', String(numbers.at(-1)))
  await expect.poll(() => resumed.events().map(({ message }) => message?.text), within).toContain('while you were off')
  await resumed.end()
  expect(first.output().stderr + second.output().stderr).not.toMatch(/are you there|yes|oops/)
})

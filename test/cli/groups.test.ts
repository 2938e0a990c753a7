/** Real gateways as processes: a group of three, of whom two do not know each other, from the command line. */
import { expect, test } from 'vitest'
import type { ChatMessageView, GroupView, NewAccount } from '../../src/core/control-views.ts'
import { gateway, onLoopback, type Running, startGateway, tempHome } from './process-support.ts'

const within = { timeout: 60_000, interval: 200 }

async function json<T>(home: string, ...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}
const start = async (home: string): Promise<Running> =>
  await startGateway(['--home', home, '--ports', 'auto', ...onLoopback])
const texts = async (home: string, group: string): Promise<readonly (string | undefined)[]> =>
  (await json<readonly ChatMessageView[]>(home, 'chat', 'show', group)).map(({ text }) => text)

test('a group of three talks, loses one and takes it in again; what was said meanwhile it does not see', async () => {
  using aliceHome = tempHome()
  using bobHome = tempHome()
  using carolHome = tempHome()
  const [a, b, c] = [aliceHome.home, bobHome.home, carolHome.home]
  const accounts = await Promise.all(
    [a, b, c].map(
      async (home, at) =>
        await json<NewAccount>(home, 'init', '--address', `${['alice', 'bob', 'carol'][at]}@x${at}.example`),
    ),
  )
  const [, bob, carol] = accounts as [NewAccount, NewAccount, NewAccount]
  await using first = await start(a)
  const second = await start(b)
  await using third = await start(c)
  for (const home of [b, c]) {
    const { link } = await json<{ link: string }>(a, 'invite', 'create')
    await json(home, 'invite', 'accept', link)
  }
  const made = await json<GroupView>(a, 'group', 'create', 'hikers', bob.address, carol.address)
  expect(made).toMatchObject({ name: 'hikers', state: 'joined', members: { length: 3 } })
  expect(made.address).toMatch(/^hikers@[a-z2-7]{52}\.group\.myc$/)
  for (const home of [b, c])
    await expect
      .poll(async () => (await json<readonly GroupView[]>(home, 'group', 'list')).map(({ state }) => state), within)
      .toEqual(['joined'])
  await json(a, 'chat', 'send', 'hikers', 'on sunday?')
  await expect.poll(async () => await texts(b, 'hikers'), within).toEqual(['on sunday?'])
  await json(b, 'chat', 'send', 'hikers', 'yes')
  await expect.poll(async () => await texts(c, made.address), within).toEqual(['on sunday?', 'yes'])

  const denied = await gateway(['group', 'remove', 'hikers', carol.address, '--home', b])
  expect(denied).toMatchObject({ code: 1 })
  // b is off while the group changes, and killed at that
  await second.end('SIGKILL')
  expect(await json<GroupView>(a, 'group', 'remove', 'hikers', carol.address)).toMatchObject({ members: { length: 2 } })
  await json(a, 'chat', 'send', 'hikers', 'a secret')
  await expect
    .poll(async () => (await json<GroupView>(c, 'group', 'show', made.group.slice(0, 12))).state, within)
    .toBe('left')
  await using _ = await start(b)
  await expect.poll(async () => await texts(b, 'hikers'), within).toEqual(['on sunday?', 'yes', 'a secret'])
  await json(a, 'group', 'invite', 'hikers', carol.address)
  await expect.poll(async () => (await json<GroupView>(c, 'group', 'show', 'hikers')).state, within).toBe('joined')
  await json(c, 'chat', 'send', 'hikers', 'back again')
  await expect
    .poll(async () => await texts(b, 'hikers'), within)
    .toEqual(['on sunday?', 'yes', 'a secret', 'back again'])
  expect(await texts(c, 'hikers')).toEqual(['on sunday?', 'yes', 'back again'])
  expect(await json<GroupView>(c, 'group', 'leave', 'hikers')).toMatchObject({ state: 'left' })
  for (const one of [first, second, third]) expect(one.output().stderr).not.toMatch(/sunday|secret|hikers/)
})

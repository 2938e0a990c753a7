/** An office of 200 people on one box. What it costs is in docs/office.md; here it has to work. */
import { expect, test } from 'vitest'
import { logIn, openBox, type Person, send } from './support.ts'

const people = 200

test('200 accounts with quotas: each logs in, also after a restart, and one writes to all of them', async () => {
  await using box = await openBox('accounts.quota=1GB')
  const all: Person[] = []
  for (let index = 1; index <= people; index += 1) {
    const user = `person${index}@box.example`
    const { appPassword } = await box.ask('accountAdd', { address: user })
    all.push({ user, password: appPassword })
  }
  await box.restart()
  for (const person of all) {
    const client = await logIn(box, person)
    await client.mailboxOpen('INBOX')
    expect(await client.getQuota('INBOX')).toMatchObject({ storage: { limit: 1024 ** 3 } })
    await client.logout()
  }
  const everybody = all.slice(1).map(({ user }) => user)
  expect(await send(box, all[0]!, everybody.join(', '), 2000)).toMatch(/^250/)
  const views = await box.ask('accountList', {})
  expect(views.filter(({ usedBytes }) => usedBytes > 2000)).toHaveLength(people)
}, 120_000)

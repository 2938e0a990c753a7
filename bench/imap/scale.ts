/** Large accounts: 100,000 messages in one mailbox, 1,000 folders, 50 mail programs of one person at once. */
import type { Result } from '../../scripts/bench.ts'
import { median, rounded } from './compare.ts'
import { type Mail, syntheticMails } from './mails.ts'
import type { RawClient } from './raw-client.ts'
import type { Server } from './servers.ts'

const manyMessages = 100_000
const manyFolders = 1000
const manyPrograms = 50

export async function scale({ client, logIn }: Server, filled: number): Promise<readonly Result[]> {
  await client.run('CREATE Large')
  await client.run('SELECT INBOX')
  for (let copies = 0; copies < manyMessages; copies += filled)
    await client.run(`COPY 1:${Math.min(filled, manyMessages - copies)} Large`)
  for (let folder = 0; folder < manyFolders; folder += 1) await client.run(`CREATE Projects/${folder}`)
  const select = async (): Promise<unknown> => await client.run('SELECT Large')
  const first = await took(select)
  const result = (name: string, ms: number): Result => ({ name, unit: 'ms', value: rounded(ms) })
  return [
    result('select_100k', await typical(select)),
    result('select_100k_first', first),
    result('fetch_flags_100k', await typical(async () => await client.run('UID FETCH 1:* (FLAGS)'), 3)),
    result('list_1000', await typical(async () => await client.run('LIST "" "*"'))),
    result(
      'list_status_1000',
      await typical(async () => await client.run('LIST "" "*" RETURN (STATUS (MESSAGES UNSEEN UIDNEXT))')),
    ),
    result('push_to_50_p95', await pushToMany(client, logIn)),
  ]
}

async function took(act: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await act()
  return performance.now() - startedAt
}

async function typical(act: () => Promise<unknown>, times = 11): Promise<number> {
  const samples: number[] = []
  for (let time = 0; time < times; time += 1) samples.push(await took(act))
  return median(samples)
}

const p95 = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.95)]!

/** From the OK of an APPEND until the last of the programs knows. */
async function pushToMany(writer: RawClient, logIn: () => Promise<RawClient>): Promise<number> {
  return await pushes(writer, logIn, { programs: manyPrograms, mails: 40 })
}

/** The 95th of a hundred times that it takes from the OK of an APPEND until every program in IDLE has been told. */
export async function pushes(
  writer: RawClient,
  logIn: () => Promise<RawClient>,
  { programs, mails }: { readonly programs: number; readonly mails: number },
): Promise<number> {
  using scope = new DisposableStack()
  let missing = 0
  let arrived = Promise.withResolvers<number>()
  const told = (): void => {
    missing -= 1
    if (missing === 0) arrived.resolve(performance.now())
  }
  for (let program = 0; program < programs; program += 1) {
    const watcher = scope.use(await logIn())
    await watcher.run('SELECT Pushed')
    await watcher.idle(told)
  }
  const [mail] = syntheticMails(1, 3) as Iterable<Mail>
  const samples: number[] = []
  for (let sent = 0; sent < mails; sent += 1) {
    missing = programs
    arrived = Promise.withResolvers()
    await writer.append('Pushed', [mail!])
    const doneAt = performance.now()
    samples.push(Math.max(0, (await arrived.promise) - doneAt))
  }
  return p95(samples.slice(Math.floor(mails / 10)))
}

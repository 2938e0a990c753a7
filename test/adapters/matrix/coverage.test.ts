/** Which operations of the specification there are: the table in docs/matrix.md says what a running server answers. */
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { openStages, type Program } from './support.ts'

const page = resolve(import.meta.dirname, '../../../docs/matrix.md')
const list = resolve(import.meta.dirname, '../../vectors/matrix-client-server/operations.json')
type Operation = readonly [method: string, path: string, name: string]

/** Something for each parameter of a path: that it is there shows in any answer but that nobody knows the path. */
const filled = (path: string, user: string): string =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    name === 'userId'
      ? user
      : name === 'roomId' || name === 'roomIdOrAlias'
        ? '!room:localhost'
        : name === 'eventId'
          ? '$event'
          : 'x',
  )

async function isThere(program: Program, [method, path]: Operation): Promise<boolean> {
  const answered = await program.server.ask(method, filled(path, program.user), {
    token: program.token,
    ...(method === 'GET' ? {} : { body: {} }),
  })
  return !(answered.status === 404 && answered.body.errcode === 'M_UNRECOGNIZED')
}

test('the table of operations is what the server does', async () => {
  await using stages = await openStages(['alice'])
  const operations = JSON.parse(await readFile(list, 'utf8')) as readonly Operation[]
  const rows: string[] = []
  const { password } = await stages.of('alice').logIn()
  for (const operation of operations) {
    // some of them end the login
    const has = await isThere(await stages.of('alice').logInWith(password), operation)
    const [method, path] = operation
    rows.push(`| ${method} | \`${path.replace('/_matrix/', '')}\` | ${has ? 'yes' : 'no'} |`)
  }
  const count = rows.filter((row) => row.endsWith('yes |')).length
  const table = [`${count} of ${rows.length}.`, '', '| | below `/_matrix/` | |', '| --- | --- | --- |', ...rows].join(
    '\n',
  )
  const text = await readFile(page, 'utf8')
  const [begin, end] = ['<!-- operations -->\n', '\n<!-- end of operations -->']
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)]
  if (process.env['MYCELIUM_WRITE_DOCS'] !== undefined)
    await writeFile(page, `${text.slice(0, from)}\n${table}\n${text.slice(to)}`)
  else expect(text.slice(from, to).trim()).toBe(table)
}, 120_000)

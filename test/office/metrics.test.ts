import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Box, logIn, openBox, type Person, send } from './support.ts'

let box: Box
let ann: Person
beforeAll(async () => {
  box = await openBox()
  ann = { user: 'ann@box.example', password: '' }
  const { appPassword } = await box.ask('accountAdd', { address: ann.user })
  ann = { ...ann, password: appPassword }
})
afterAll(async () => await box[Symbol.asyncDispose]())

async function scrape(): Promise<string> {
  const { host, port } = box.gateway.listeners.http!
  const token = readFileSync(join(box.home, 'metrics-token'), 'utf8').trim()
  const answer = await fetch(`http://${host}:${port}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  expect(answer.status).toBe(200)
  return await answer.text()
}

interface Described {
  readonly name: string
  readonly type: string
  readonly help: string
}
const described = (text: string): Described[] =>
  [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(([, name, help, type]) => ({
    name: name!,
    type: type!,
    help: help!,
  }))
const value = (text: string, sample: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${sample} `))
      ?.split(' ')[1],
  )

test('what happens on the box is counted, and nobody is named', async () => {
  await expect(logIn(box, { ...ann, password: 'wrong' })).rejects.toThrow()
  const client = await logIn(box, ann)
  expect(await send(box, ann, 'first@box.example', 500)).toMatch(/^250/)
  const text = await scrape()
  expect(value(text, 'mycelium_logins_total{protocol="imap",result="wrong"}')).toBe(1)
  expect(value(text, 'mycelium_logins_total{protocol="imap",result="ok"}')).toBe(1)
  expect(value(text, 'mycelium_logins_total{protocol="smtp",result="ok"}')).toBe(1)
  expect(value(text, 'mycelium_client_connections{protocol="imap"}')).toBeGreaterThan(0)
  expect(value(text, 'mycelium_smtp_accepted_total')).toBe(1)
  expect(value(text, 'mycelium_received_total')).toBe(1)
  expect(value(text, 'mycelium_accounts{state="active"}')).toBe(2)
  expect(value(text, 'mycelium_mail_bytes')).toBeGreaterThan(1000)
  expect(value(text, 'mycelium_store_bytes')).toBeGreaterThan(0)
  expect(value(text, 'mycelium_disk_free_bytes')).toBeGreaterThan(0)
  const commits = value(text, 'mycelium_store_commit_seconds_count')
  expect(commits).toBeGreaterThan(0)
  expect(value(text, 'mycelium_store_commit_seconds_bucket{le="+Inf"}')).toBe(commits)
  expect(value(text, 'mycelium_certificate_not_after_seconds')).toBeGreaterThan(Date.now() / 1000)
  for (const line of text.split('\n').filter((line) => line !== '' && !line.startsWith('#')))
    expect(line).toMatch(/^[a-z_]+(\{[a-z]+="[^"@]*"(,[a-z]+="[^"@]*")*\})? -?[\d.e+-]+$/)
  for (const name of ['ann', 'first@', 'box.example']) expect(text).not.toContain(name)
  await client.logout()
})

test('docs/metrics.md lists every metric as it is', async () => {
  const rows = [...readFileSync('docs/metrics.md', 'utf8').matchAll(/^\| `(\w+)` \| (\w+) \| (.*) \|$/gm)]
  const documented = rows.map(([, name, type, help]) => ({ name: name!, type: type!, help: help! }))
  expect(documented).toEqual(described(await scrape()))
})

test('every query of the Grafana dashboard asks for metrics that exist', async () => {
  const dashboard = JSON.parse(readFileSync('config/grafana/mycelium-gateway.json', 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[]
  }
  const metrics = described(await scrape())
  const names = new Set(
    metrics.flatMap(({ name, type }) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name],
    ),
  )
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
  expect(queries.length).toBeGreaterThan(10)
  const asked = queries.flatMap((expr) => expr.match(/\b(?:mycelium|process)_\w+/g) ?? [`no metric in ${expr}`])
  expect(asked.filter((name) => !names.has(name))).toEqual([])
})

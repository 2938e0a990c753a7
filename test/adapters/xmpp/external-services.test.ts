import { createHmac } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { elements, el, type Element } from '../../../src/adapters/xmpp/element.ts'
import type { Client } from '../../../src/adapters/xmpp/client.ts'
import type { Iq, Server } from '../../../src/adapters/xmpp/feature.ts'
import { externalServices } from '../../../src/adapters/xmpp/xep/external-services.ts'
import { silentLog, systemRandom } from '../../../src/core/ambient.ts'
import { turnServers } from '../../../src/turn-servers.ts'

const nowMs = Date.parse('2026-12-01T12:00:00Z')

/** What the server tells of what the configuration names. */
function told(turn: Parameters<typeof turnServers>[0]): readonly Element[] {
  const ambient = { clock: { nowMs: () => nowMs }, random: systemRandom, log: silentLog }
  const services = { externalServices: turnServers(turn, silentLog) }
  const { iq } = externalServices({ services, ambient } as unknown as Server)
  const payload = el('services urn:xmpp:extdisco:2')
  const answer = iq![0]!.answer({ payload, client: {} as Client } as Iq) as Element
  return elements(answer)
}

test('a login for a while is what a TURN server makes of the same secret, and never the same twice', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-turn-'))
  try {
    const secretFile = join(folder, 'secret')
    writeFileSync(secretFile, 'north wind\n')
    const server = {
      type: 'turn',
      host: 'turn.example',
      port: 3478,
      transport: 'udp',
      username: '',
      secretFile,
    } as const
    const [one] = told([server])
    const [two] = told([server])
    const { username, password, expires } = one!.attrs
    expect(username).toMatch(/^1796148000:[\w-]{12}$/)
    expect(expires).toBe('2026-12-01T18:00:00Z')
    expect(password).toBe(createHmac('sha1', 'north wind').update(username!).digest('base64'))
    expect(two!.attrs.username).not.toBe(username)
    chmodSync(secretFile, 0o600)
    writeFileSync(secretFile, 'south wind')
    const later = told([server])[0]!.attrs
    expect(later.password).toBe(createHmac('sha1', 'south wind').update(later.username!).digest('base64'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a program that asks again is told the same login for a minute, and no other program is told it', () => {
  let atMs = nowMs
  const ambient = { clock: { nowMs: () => atMs }, random: systemRandom, log: silentLog }
  const service = {
    type: 'turn',
    host: 'turn.example',
    port: 3478,
    transport: 'udp',
    username: '',
    secret: () => Buffer.from('north wind'),
  }
  const { iq } = externalServices({ services: { externalServices: [service] }, ambient } as unknown as Server)
  const ask = (client: Client): string | undefined => {
    const answer = iq![0]!.answer({ payload: el('services urn:xmpp:extdisco:2'), client } as Iq) as Element
    return elements(answer)[0]!.attrs.username
  }
  const [one, other] = [{} as Client, {} as Client]
  const first = ask(one)
  expect(ask(one)).toBe(first)
  expect(ask(other)).not.toBe(first)
  atMs += 60_000
  expect(ask(one)).not.toBe(first)
})

test('a server whose secret cannot be read is told of without a login; without servers there is nothing to tell', () => {
  const server = {
    type: 'turn',
    host: 'turn.example',
    port: 3478,
    transport: 'udp',
    username: '',
    secretFile: '/absent/secret',
  } as const
  expect(told([server])[0]!.attrs).toEqual({ type: 'turn', host: 'turn.example', port: '3478', transport: 'udp' })
  expect(told([])).toEqual([])
})

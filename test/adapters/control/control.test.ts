import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openControl } from '../../../src/adapters/control/adapter.ts'
import { connectControl } from '../../../src/cli/client.ts'
import type { Log } from '../../../src/core/ambient.ts'
import { type OperationContext, type Operations, operationVerbs } from '../../../src/core/control.ts'
import { jsonLines } from '../../../src/core/control-wire.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'

const folder = mkdtempSync(join(tmpdir(), 'mycelium-control-'))
const socketPath = join(folder, 'control.sock')
const logged: string[] = []
const note = (event: string, fields?: object): void => void logged.push(`${event} ${JSON.stringify(fields)}`)
const log: Log = { debug: note, info: note, warn: note, error: note }

let aborted = 0
let seen: unknown[] = []
/** Operations of this test: the socket between them and the client is what is tested. */
const behaviours: Partial<Record<keyof Operations, (params: never, context: OperationContext) => Promise<unknown>>> = {
  accountList: async (params) => {
    seen.push(params)
    return await Promise.resolve([{ localName: 'alice', missing: undefined }])
  },
  contactBlock: async () => await Promise.reject(new MyceliumError('no-such-contact', { at: 1 })),
  queueList: async () => await Promise.reject(new TypeError('secret content')),
  inviteCreate: async (params) => {
    seen.push(params)
    return await Promise.resolve({ link: 'x', expiresAtMs: 1 })
  },
  contactConfirmStart: async (_, { signal, progress }) => {
    progress({ step: 'waiting' })
    try {
      await sleep(10_000, undefined, { signal })
    } catch {
      aborted += 1
    }
    return {}
  },
  contactList: async () => {
    seen.push('long')
    return await Promise.resolve(['x'.repeat(200_000)])
  },
  status: async () => {
    seen.push('status')
    await sleep(50)
    return { slow: true }
  },
}
const operations = Object.fromEntries(
  operationVerbs.map((verb) => [verb, behaviours[verb] ?? (async () => await Promise.resolve({}))]),
) as unknown as Operations

let server: AsyncDisposable
beforeEach(async () => {
  seen = []
  aborted = 0
  server = await openControl({ socketPath, operations, log })
})
afterEach(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
})
const context = { signal: new AbortController().signal, progress: () => {} }
const client = async () => (await connectControl(socketPath))!

/** Sends bytes, gives what comes back until the server hangs up or half a second passes. */
async function raw(bytes: string | Uint8Array): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect(socketPath, () => socket.write(bytes))
    let text = ''
    const end = (): void => {
      socket.destroy()
      resolve(text)
    }
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('error', () => {})
    socket.on('close', end)
    setTimeout(end, 500)
  })
}

test('an operation gives the same over the socket as in the process', async () => {
  await using connected = await client()
  expect(await connected.operations.accountList({}, context)).toEqual([{ localName: 'alice' }])
  expect(seen).toEqual([{}])
})

test('the socket is for the owner only', () => {
  expect(statSync(socketPath).mode & 0o777).toBe(0o600)
})

test('a failure keeps its code and details; a bug shows neither its message nor its stack', async () => {
  await using connected = await client()
  await expect(connected.operations.contactBlock({ contact: 'bob' }, context)).rejects.toMatchObject({
    code: 'no-such-contact',
    details: { at: 1 },
  })
  await expect(connected.operations.queueList({}, context)).rejects.toThrow('the gateway failed inside')
  expect(logged.join()).toContain('control.failed {"verb":"queueList","error":"TypeError"}')
  expect(logged.join()).not.toContain('secret content')
})

test('parameters are validated, defaults filled in, unknown ones refused', async () => {
  await using connected = await client()
  const create = connected.operations.inviteCreate as (params: unknown, on: OperationContext) => Promise<unknown>
  await create({}, context)
  expect(seen).toEqual([{ expiresMs: limits.inviteExpiryMs }])
  await expect(create({ expiresMs: 1 }, context)).rejects.toThrow('not a valid value: expiresMs')
  await expect(create({ surprise: 1 }, context)).rejects.toThrow('not a valid value')
  expect(await raw('{"id":1,"verb":"toString","params":{}}\n')).toContain('"code":"usage"')
  expect(await raw('{"id":1,"verb":"__proto__","params":{}}\n')).toContain('"code":"usage"')
})

test('answers come as they are ready, several requests on one connection', async () => {
  await using connected = await client()
  const order: string[] = []
  await Promise.all([
    connected.operations.status({}, context).then(() => order.push('slow')),
    connected.operations.accountList({}, context).then(() => order.push('fast')),
  ])
  expect(order).toEqual(['fast', 'slow'])
})

test('progress is passed on, and hanging up cancels the work', async () => {
  await using connected = await client()
  const steps: string[] = []
  const stop = new AbortController()
  const waiting = connected.operations.contactConfirmStart(
    { contact: 'bob' },
    { signal: stop.signal, progress: ({ step }) => steps.push(step) },
  )
  await expect.poll(() => steps).toEqual(['waiting'])
  stop.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'not-running' })
  await expect.poll(() => aborted).toBe(1)
})

test.each([
  ['no JSON', 'hello\n'],
  ['an HTTP request', 'GET / HTTP/1.1\r\n\r\n'],
  ['JSON that is no request', '[1]\n'],
  ['bytes that are no text', new Uint8Array([0xff, 0xfe, 10])],
])('%s ends the connection and nothing else', async (_, bytes) => {
  expect(await raw(bytes)).toBe('')
  await using connected = await client()
  await connected.operations.accountList({}, context)
})

test('an endless line is cut off at the bound', async () => {
  expect(await raw('x'.repeat(limits.controlRequestBytesMax + 1))).toBe('')
  await using connected = await client()
  await connected.operations.accountList({}, context)
})

test('more requests at once than allowed end the connection, more connections are refused', async () => {
  const flood = Array.from({ length: limits.controlRequestsMax + 1 }, (_, id) =>
    JSON.stringify({ id, verb: 'status', params: {} }),
  )
  expect(await raw(`${flood.join('\n')}\n`)).toBe('')
  const held = await Promise.all(Array.from({ length: limits.controlConnectionsMax }, client))
  expect(await raw('{"id":1,"verb":"accountList","params":{}}\n')).toBe('')
  for (const one of held) await one[Symbol.asyncDispose]()
})

test('who does not read answers is not answered without end', async () => {
  const request = (id: number): string => `${JSON.stringify({ id, verb: 'contactList', params: {} })}\n`
  const deaf = connect(socketPath)
  deaf.on('error', () => {})
  deaf.pause()
  const asked = 600
  deaf.write(Array.from({ length: asked }, (_, id) => request(id)).join(''))
  await expect.poll(() => seen.length).toBeGreaterThan(0)
  await using other = await client()
  for (let turn = 0; turn < 20; turn += 1) await other.operations.accountList({}, context)
  expect(seen.filter((one) => one === 'long').length).toBeLessThan(50)
  let heard = 0
  deaf.on('data', (chunk: Buffer) => (heard += chunk.filter((octet) => octet === 10).length))
  deaf.resume()
  await expect.poll(() => heard).toBe(asked)
  deaf.destroy()
})

test('no gateway: a missing socket and one left by a killed process both say so', async () => {
  expect(await connectControl(join(folder, 'absent.sock'))).toBeUndefined()
  await server[Symbol.asyncDispose]()
  expect(await connectControl(socketPath)).toBeUndefined()
  writeFileSync(socketPath, '') // whatever a killed gateway left is replaced
  server = await openControl({ socketPath, operations, log })
  await using connected = await client()
  await connected.operations.accountList({}, context)
})

test('closing answers what is under way before it ends', async () => {
  await using connected = await client()
  const slow = connected.operations.status({}, context)
  await expect.poll(() => seen).toEqual(['status'])
  await server[Symbol.asyncDispose]()
  expect(await slow).toEqual({ slow: true })
})

test('lines survive any split into chunks, and a line over the bound never does', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ maxLength: 40 }), { maxLength: 6 }),
      fc.integer({ min: 1, max: 9 }),
      async (texts, size) => {
        const lines = texts.map((text) => text.replaceAll('\n', ''))
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        async function* chunks() {
          for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
        }
        const bound = 60
        const read = async () => {
          const got: string[] = []
          for await (const line of jsonLines(chunks(), bound)) got.push(line)
          return got
        }
        if (lines.some((line) => Buffer.byteLength(line) > bound))
          await expect(read()).rejects.toMatchObject({ code: 'line-too-long' })
        else expect(await read()).toEqual(lines)
      },
    ),
  )
})

test('what others make while the socket opens has its usual permissions', async () => {
  const usual = process.umask()
  const opening = openControl({ socketPath: join(folder, 'second.sock'), operations, log })
  const meanwhile = process.umask()
  await using second = await opening
  expect(second).toBeDefined()
  expect(meanwhile).toBe(usual)
  expect(statSync(join(folder, 'second.sock')).mode & 0o777).toBe(0o600)
})

/** Files: uploaded, said, had by both sides, whole and in part, and by nobody else. */
import { expect, test } from 'vitest'
import { type Answer, openStages, type Program } from './support.ts'

const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

async function upload(program: Program, bytes: Uint8Array, type: string, name = 'file'): Promise<string> {
  const answer = await fetch(
    `http://127.0.0.1:${program.server.port}/_matrix/media/v3/upload?filename=${encodeURIComponent(name)}`,
    {
      method: 'POST',
      headers: { authorization: `Bearer ${program.token}`, 'content-type': type },
      body: Buffer.from(bytes),
    },
  )
  const { content_uri: uri } = (await answer.json()) as { readonly content_uri: string }
  return uri
}

async function download(
  program: Program,
  uri: string,
  headers: Record<string, string> = {},
  path = 'client/v1/media/download',
) {
  const answer = await fetch(`http://127.0.0.1:${program.server.port}/_matrix/${path}/${uri.slice('mxc://'.length)}`, {
    headers: { ...(path.startsWith('client') ? { authorization: `Bearer ${program.token}` } : {}), ...headers },
  })
  return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) }
}

async function openChat() {
  const stages = await openStages()
  const [alice, bob] = [await stages.of('alice').logIn(), await stages.of('bob').logIn()]
  await bob.sync()
  const room = Object.keys((await alice.sync()).rooms.join)[0]!
  return { stages, alice, bob, room, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

test.for([100, 300_000])('a file of %i octets goes from one to the other', async (size) => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const bytes = Buffer.alloc(size, 'tea ')
  const url = await upload(alice, bytes, 'text/plain', 'list of tea.txt')
  expect((await download(alice, url)).bytes).toEqual(bytes)
  const content = { msgtype: 'm.file', body: 'list of tea.txt', url, info: { mimetype: 'text/plain', size } }
  const said = await alice.send(room, content)
  const come = await bob.event(({ event_id: id }) => id === said)
  expect(come.content).toMatchObject({
    msgtype: 'm.file',
    body: 'list of tea.txt',
    info: { mimetype: 'text/plain', size },
  })
  const had = await download(bob, come.content.url)
  expect(had.bytes.equals(bytes)).toBe(true)
  expect(had.headers.get('content-disposition')).toMatch(/^attachment; filename="list of tea.txt"/)
  expect(had.headers.get('content-security-policy')).toContain('sandbox')
  expect(had.headers.get('x-content-type-options')).toBe('nosniff')
  // where it was put first it is still
  expect((await download(alice, url)).bytes.equals(bytes)).toBe(true)
})

test('a picture is a picture, with words beside it where it has some', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const url = await upload(alice, png, 'image/png', 'cup.png')
  const content = {
    msgtype: 'm.image',
    body: 'My cup',
    filename: 'cup.png',
    url,
    info: { w: 1, h: 1, mimetype: 'image/png' },
  }
  const said = await alice.send(room, content)
  const come = await bob.event(({ event_id: id }) => id === said)
  expect(come.content).toMatchObject({ msgtype: 'm.image', body: 'My cup', filename: 'cup.png' })
  const thumbnail = await download(
    bob,
    `${come.content.url}?width=32&height=32&method=scale`,
    {},
    'client/v1/media/thumbnail',
  )
  expect([thumbnail.status, thumbnail.headers.get('content-type')]).toEqual([200, 'image/png'])
  expect(thumbnail.headers.get('content-disposition')).toMatch(/^inline/)
})

test('parts of a file are had by themselves, also on the paths of older programs', async () => {
  await using chat = await openChat()
  const { alice } = chat
  const url = await upload(alice, Buffer.from('0123456789'), 'video/mp4')
  for (const path of ['client/v1/media/download', 'media/v3/download', 'media/r0/download']) {
    const part = await download(alice, url, { range: 'bytes=2-4' }, path)
    expect([part.status, part.bytes.toString(), part.headers.get('content-range')]).toEqual([
      206,
      '234',
      'bytes 2-4/10',
    ])
  }
  expect((await download(alice, url, { range: 'bytes=20-' })).status).toBe(416)
  expect((await download(alice, url, { range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200)
})

test('what may hold a script is saved, not shown, and is no picture', async () => {
  await using chat = await openChat()
  const { alice } = chat
  for (const [type, bytes] of [
    ['image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'],
    ['text/html', '<script>alert(1)</script>'],
    ['image/png', '<script>alert(1)</script>'],
  ] as const) {
    const url = await upload(alice, Buffer.from(bytes), type)
    const had = await download(alice, url)
    if (type !== 'image/png') expect(had.headers.get('content-disposition')).toMatch(/^attachment/)
    const thumbnail = await download(alice, `${url}?width=32&height=32`, {}, 'client/v1/media/thumbnail')
    expect(thumbnail.status).toBe(400)
  }
  // a picture of 60,000 × 60,000 in a few octets
  const bomb = Buffer.from(png)
  bomb.writeUInt32BE(60_000, 16)
  bomb.writeUInt32BE(60_000, 20)
  const url = await upload(alice, bomb, 'image/png')
  expect((await download(alice, `${url}?width=32&height=32`, {}, 'client/v1/media/thumbnail')).status).toBe(400)
})

test('what is somebody else’s, or nowhere, is not had and not said', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const url = await upload(alice, Buffer.from('mine'), 'text/plain')
  expect((await bob.server.ask('GET', `/_matrix/client/v1/media/download/${url.slice(6)}`)).status).toBe(401)
  const say = async (of: string): Promise<string> =>
    await bob.refused('PUT', `/rooms/${room}/send/m.room.message/${Math.random()}`, {
      msgtype: 'm.file',
      body: 'x',
      url: of,
    })
  expect(await say(url)).toBe('404 M_NOT_FOUND')
  const said = await alice.send(room, { msgtype: 'm.file', body: 'x', url })
  const come = await bob.event(({ event_id: id }: Answer) => id === said)
  const forged = `${come.content.url.slice(0, -1)}${come.content.url.endsWith('A') ? 'B' : 'A'}`
  for (const one of [
    forged,
    'mxc://localhost/unothing',
    'mxc://elsewhere.example/u123',
    'mxc://localhost/..%2f..%2fetc',
  ]) {
    expect((await download(bob, one)).status).toBe(404)
    expect((await download(bob, one, {}, 'media/v3/download')).status).toBe(404)
  }
  expect(await say(forged)).toBe('404 M_NOT_FOUND')
})

test('nothing beyond this machine is fetched for a preview', async () => {
  await using chat = await openChat()
  expect(await chat.alice.get('/_matrix/client/v1/media/preview_url?url=https://example.org')).toEqual({})
})

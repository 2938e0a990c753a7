/**
 * `/xmpp/files/`: an upload is put here once (XEP-0363 §4), files are had from here, whole or in part. A message's file
 * that is still on its way is waited for: programs ask as soon as they see the message.
 */
import { hasCode, MyceliumError } from '../../../core/errors.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { sizeOfContent } from '../../../core/message/content.ts'
import { untilHere } from '../../wire/file-wait.ts'
import { type HttpAnswer, type HttpRequest, type HttpRoute, textAnswer } from '../../wire/http.ts'
import { type FileId, fileIdOf, filesPath, type FileUrls } from './file-urls.ts'
import { disposition, mediaTypeOf } from '../../wire/media-type.ts'
import { parseRange, type Range } from '../../wire/range.ts'
import type { Slot } from './slots.ts'

/** @param origins of pages that may upload and read, beside the listener's own */
export const fileRoute = (urls: FileUrls, origins: readonly string[]): HttpRoute => ({
  path: filesPath,
  methods: ['GET', 'HEAD', 'PUT'],
  bodyBytesMax: limits.fileBytesMax,
  origins,
  isHttpsOnly: true, // Dino and Gajim refuse anything else
  async answer(request) {
    const id = fileIdOf(request.path)
    if (id === undefined) return nothing()
    return request.method === 'PUT' ? await put(urls, id, request) : await give(urls, id, request)
  },
})

const nothing = (): HttpAnswer => textAnswer(404, 'no such file', { connection: 'close' })
const refused = (status: number, text: string): HttpAnswer => textAnswer(status, text, { connection: 'close' })

async function put(urls: FileUrls, id: FileId, request: HttpRequest): Promise<HttpAnswer> {
  const slot = id.kind === 'upload' ? urls.slots.take(id.id) : undefined
  if (id.kind !== 'upload' || slot === undefined)
    return id.kind === 'upload' && urls.parts.stored.find(id.id) !== undefined
      ? refused(409, 'it is here already')
      : nothing()
  const answer = await store(urls, id.id, slot, request)
  if (answer.status !== 201) urls.slots.giveBack(id.id, slot)
  return answer
}

async function store({ parts }: FileUrls, id: string, slot: Slot, request: HttpRequest): Promise<HttpAnswer> {
  const { account, size, name } = slot
  const said = request.headers['content-length']
  if (said !== undefined && Number(said) !== size) return wrongSize(Number(said), size)
  const mediaType = mediaTypeOf(slot.mediaType ?? request.headers['content-type'])
  try {
    await parts.stored.store(id, account, request.body, { name, mediaType, size })
    return textAnswer(201, 'it is here')
  } catch (error) {
    if (hasCode(error, 'message-too-large')) return wrongSize(Infinity, size)
    if (hasCode(error, 'malformed')) return wrongSize(0, size)
    if (error instanceof MyceliumError) return refused(statuses[error.code] ?? 500, 'not taken')
    throw error
  }
}

const wrongSize = (came: number, size: number): HttpAnswer =>
  refused(came > size ? 413 : 400, `${size} octets were promised`)

const statuses: Readonly<Partial<Record<MyceliumError['code'], number>>> = {
  timeout: 408,
  'connection-closed': 400, // to nobody
  'mailbox-full': 507,
  'disk-full': 507,
}

/** A file that can be read now. */
interface Readable {
  readonly name: string
  readonly mediaType: string
  readonly size: number
  read(range: Range): AsyncIterable<Uint8Array>
}

async function give(urls: FileUrls, id: FileId, request: HttpRequest): Promise<HttpAnswer> {
  const found = id.kind === 'upload' ? await upload(urls, id.id, request) : await fileOf(urls, id, request)
  if (found === undefined) return nothing()
  if ('status' in found) return found
  const { size, name } = found
  const type = mediaTypeOf(found.mediaType)
  const headers = {
    'content-type': type,
    'content-disposition': disposition(type, name),
    'accept-ranges': 'bytes',
    // what is behind a URL never changes
    etag: `"${id.kind === 'upload' ? id.id : id.message}"`,
    'cache-control': 'private, max-age=31536000, immutable',
    // who has the URL may have the file, in whatever page it is shown
    'cross-origin-resource-policy': 'cross-origin',
  }
  const condition = request.headers['if-range']
  const range =
    condition === undefined || condition === headers.etag ? parseRange(request.headers.range, size) : undefined
  if (range === 'unsatisfiable')
    return { status: 416, headers: { ...headers, 'content-range': `bytes */${size}` }, body: '' }
  const { from, to } = range ?? { from: 0, to: size }
  return {
    status: range === undefined ? 200 : 206,
    headers: range === undefined ? headers : { ...headers, 'content-range': `bytes ${from}-${to - 1}/${size}` },
    // begun when it is written: of a file that is still on its way, the size can be told
    body: {
      bytes: { [Symbol.asyncIterator]: () => found.read({ from, to })[Symbol.asyncIterator]() },
      size: to - from,
    },
  }
}

async function upload(urls: FileUrls, id: string, request: HttpRequest): Promise<Readable | HttpAnswer | undefined> {
  const { stored } = urls.parts
  const found = stored.find(id)
  if (found === undefined) return undefined
  if (found.saidIn !== undefined) return await ofMessage(urls, found.account, found.saidIn, request)
  return { ...found, read: (range) => stored.read(id, range) }
}

async function fileOf(
  urls: FileUrls,
  id: Extract<FileId, { readonly kind: 'message' }>,
  request: HttpRequest,
): Promise<Readable | HttpAnswer | undefined> {
  const account = urls.accountOf(id)
  return account === undefined ? undefined : await ofMessage(urls, account, id.message, request)
}

async function ofMessage(
  { parts: { conversations, files } }: FileUrls,
  account: Identity,
  message: MessageId,
  { method, signal }: HttpRequest,
): Promise<Readable | HttpAnswer | undefined> {
  const part = conversations.message(account, message)?.file?.part
  if (part === undefined) return undefined
  const { name, mediaType } = part
  const size = sizeOfContent(part.content)
  if (method === 'GET') {
    const waited = await untilHere(files, account, message, { ms: limits.fileAwaitMs, signal })
    if (waited === 'gone') return nothing()
    if (waited === 'no-room') return refused(503, 'there is no room for this file')
    if (waited === 'coming') return textAnswer(503, 'this file is still on its way', { 'retry-after': '30' })
  }
  return { name, mediaType, size, read: (range) => files.read(account, message, range) }
}

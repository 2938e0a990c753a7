/** Files over HTTP (Client-Server API, "Content repository"), on the paths of today and on the older ones without a token. */
import { imageHead } from '../../../core/message/thumbnail/image-kind.ts'
import { limits } from '../../../core/limits.ts'
import type { HttpRequest } from '../../wire/http.ts'
import { disposition, mediaTypeOf } from '../../wire/media-type.ts'
import { parseRange, type Range } from '../../wire/range.ts'
import type { Api, Raw } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Media, Readable } from './media.ts'

type Path = Readonly<Record<string, string>>

const older = '/_matrix/media/:api{r0|v1|v3}'

export function mediaRoutes(api: Api, media: Media): void {
  const config = (): { readonly 'm.upload.size': number } => ({ 'm.upload.size': limits.fileBytesMax })
  const download = async (request: HttpRequest, path: Path): Promise<Raw> =>
    give(await find(media, request, path), request, path)
  const thumbnail = async (request: HttpRequest, path: Path): Promise<Raw> =>
    await giveThumbnail(await find(media, request, path), request, path)
  api.on('POST', `${older}/upload`, async ({ caller, request }) => {
    const said = request.headers['content-length']
    if (said === undefined)
      throw new MatrixError('M_MISSING_PARAM', 'Say how long it is (Content-Length)', { status: 411 })
    const name = request.query.get('filename') ?? 'file'
    const mediaType = request.headers['content-type']
    return { content_uri: await media.upload(caller.account, request.body, { name, mediaType, size: Number(said) }) }
  })
  for (const path of ['/media/config', `${older}/config`]) api.on('GET', path, config)
  // nothing beyond this machine is asked for by the gateway, whatever a message links to
  for (const path of ['/media/preview_url', `${older}/preview_url`]) api.on('GET', path, () => ({}))
  for (const path of ['/media/download/:server/:id', '/media/download/:server/:id/:name'])
    api.on('GET', path, async ({ request, path: of }) => await download(request, of))
  api.on('GET', '/media/thumbnail/:server/:id', async ({ request, path }) => await thumbnail(request, path))
  for (const path of [`${older}/download/:server/:id`, `${older}/download/:server/:id/:name`])
    api.open('GET', path, download)
  api.open('GET', `${older}/thumbnail/:server/:id`, thumbnail)
}

/** Client-Server API, "GET media/download": `timeout_ms` is how long the program will wait. */
async function find(media: Media, { query, signal }: HttpRequest, path: Path): Promise<Readable> {
  const asked = Number(query.get('timeout_ms') ?? limits.fileAwaitMs)
  const waitMs = Number.isFinite(asked) ? Math.min(Math.max(0, asked), limits.matrixPollMsMax) : limits.fileAwaitMs
  return await media.find(path['server']!, path['id']!, { waitMs, signal })
}

const headersOf = (file: Readable, type: string, path: Path): Readonly<Record<string, string>> => ({
  'content-type': type,
  'content-disposition': disposition(type, path['name'] ?? file.name),
  'accept-ranges': 'bytes',
  // what is behind a URI never changes
  etag: `"${path['id']}"`,
  'cache-control': 'private, max-age=31536000, immutable',
  // pages of a program's own origin show it, and nothing in it can do more than be shown
  'content-security-policy':
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self'",
  'cross-origin-resource-policy': 'cross-origin',
})

function give(file: Readable, request: HttpRequest, path: Path): Raw {
  const type = mediaTypeOf(file.mediaType)
  const headers = headersOf(file, type, path)
  const { size } = file
  const condition = request.headers['if-range']
  const range =
    condition === undefined || condition === headers['etag'] ? parseRange(request.headers.range, size) : undefined
  if (range === 'unsatisfiable')
    return { raw: { status: 416, headers: { ...headers, 'content-range': `bytes */${size}` }, body: '' } }
  const { from, to }: Range = range ?? { from: 0, to: size }
  return {
    raw: {
      status: range === undefined ? 200 : 206,
      headers: range === undefined ? headers : { ...headers, 'content-range': `bytes ${from}-${to - 1}/${size}` },
      body: { bytes: file.read({ from, to }), size: to - from },
    },
  }
}

/**
 * The small picture that came with the file, where that is as large as was asked for; else the picture itself, which a
 * program scales (Client-Server API, "Thumbnails": it may be larger). Only what is a picture by its first octets, and of
 * bounded size.
 */
async function giveThumbnail(file: Readable, request: HttpRequest, path: Path): Promise<Raw> {
  const [width, height] = [sideOf(request, 'width'), sideOf(request, 'height')]
  const { thumbnail } = file
  if (thumbnail !== undefined && thumbnail.width >= width && thumbnail.height >= height)
    return {
      raw: {
        status: 200,
        headers: headersOf(file, mediaTypeOf(thumbnail.mediaType), path),
        body: { bytes: once(thumbnail.bytes), size: thumbnail.bytes.length },
      },
    }
  const head = imageHead(await beginning(file))
  if (head === undefined || head.width * head.height > limits.imagePixelsMax || file.size > limits.imageBytesMax)
    throw new MatrixError('M_UNKNOWN', 'Of this file there is no picture')
  return give({ ...file, mediaType: `image/${head.kind}` }, request, path)
}

/** @throws MatrixError */
function sideOf({ query }: HttpRequest, name: string): number {
  const side = Number(query.get(name))
  if (!Number.isInteger(side) || side < 1) throw new MatrixError('M_MISSING_PARAM', `Say the ${name}`)
  return side
}

async function beginning(file: Readable): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of file.read({ from: 0, to: Math.min(file.size, headBytes) })) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** A picture says its size in its first octets; JPEG after what the camera tells of itself. */
const headBytes = 512 * 1024

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

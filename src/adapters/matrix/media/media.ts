/** Files by mxc URI: what was uploaded, until a message has it, and the files of messages. */
import type { Ambient } from '../../../core/ambient.ts'
import type { PreparedFile } from '../../../core/delivery/files.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { sizeOfContent } from '../../../core/message/content.ts'
import type { Thumbnail } from '../../../core/message/part.ts'
import { untilHere } from '../../wire/file-wait.ts'
import { mediaTypeOf } from '../../wire/media-type.ts'
import type { Range } from '../../wire/range.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import { isTagOf, messageMediaId, newUploadId, readMediaId, readMxc } from './media-ids.ts'

/** A file that can be read now. */
export interface Readable {
  readonly name: string
  readonly mediaType: string
  readonly size: number
  readonly thumbnail: Thumbnail | undefined
  read(range?: Range): AsyncIterable<Uint8Array>
}

export interface NewFile {
  readonly name: string
  readonly mediaType: string | undefined
  readonly size: number
}

interface MediaParts {
  readonly services: MatrixServices
  readonly names: Names
  readonly ambient: Ambient
}

export class Media {
  readonly #parts: MediaParts

  constructor(parts: MediaParts) {
    this.#parts = parts
  }

  fileUrl(account: Identity, message: MessageId): string {
    const { services, names } = this.#parts
    return `mxc://${names.server}/${services.store.read((tx) => messageMediaId(tx, account, message))}`
  }

  /** @returns its mxc URI. @throws what `Uploads.store` throws */
  async upload(
    account: Identity,
    source: AsyncIterable<Uint8Array>,
    { name, mediaType, size }: NewFile,
  ): Promise<string> {
    const { services, names, ambient } = this.#parts
    const id = newUploadId(ambient.random)
    await services.uploads.store(id, account, source, { name, mediaType: mediaTypeOf(mediaType), size })
    return `mxc://${names.server}/${id}`
  }

  /** @param waitMs how long a file is waited for that is on its way. @throws MatrixError */
  async find(
    server: string,
    id: string,
    { waitMs, signal }: { waitMs: number; signal: AbortSignal },
  ): Promise<Readable> {
    const { services, names } = this.#parts
    const read = server === names.server ? readMediaId(id) : undefined
    if (read === undefined) throw notFound()
    if (read.kind === 'message') {
      const account = services.store.read(
        (tx) => services.accounts.list().find(({ identity }) => isTagOf(tx, identity, read))?.identity,
      )
      if (account === undefined) throw notFound()
      return await this.#ofMessage(account, read.message, { waitMs, signal })
    }
    const { uploads } = services
    const found = uploads.find(read.id)
    if (found === undefined) throw notFound()
    if (found.saidIn !== undefined) return await this.#ofMessage(found.account, found.saidIn, { waitMs, signal })
    return { ...found, thumbnail: undefined, read: (range) => uploads.read(read.id, range) }
  }

  /** What this account may say in a message: an upload of its own, or the file of a message it has. @throws MatrixError */
  async fileBehind(account: Identity, url: string): Promise<PreparedFile> {
    const { services, names } = this.#parts
    const mxc = readMxc(url)
    const id = mxc?.server === names.server ? readMediaId(mxc.id) : undefined
    const isOwn =
      id?.kind === 'upload'
        ? services.uploads.find(id.id)?.account === account
        : id !== undefined && services.store.read((tx) => isTagOf(tx, account, id))
    if (mxc === undefined || id === undefined || !isOwn) throw notFound()
    const signal = AbortSignal.timeout(limits.matrixFileMs)
    const file = await this.find(mxc.server, mxc.id, { waitMs: limits.fileAwaitMs, signal })
    // from here on it counts as a file of the message
    if (id.kind === 'upload') await services.uploads.take(id.id, account)
    const { name, mediaType, size } = file
    return await services.files.prepare(account, file.read(), { name, mediaType, bytes: size, signal })
  }

  /** The message has it now: the URI goes on showing it for as long as there is the message. */
  async fileSaid(account: Identity, url: string, message: MessageId): Promise<void> {
    const id = readMediaId(readMxc(url)?.id ?? '')
    if (id?.kind === 'upload') await this.#parts.services.uploads.said(id.id, account, message)
  }

  /** Pictures of people are not shown here (docs/limits.md). */
  avatarOf(_account: Identity, _who: Identity): string | undefined {
    return undefined
  }

  setAvatar(_account: Identity, url: string): Promise<void> {
    if (url === '') return Promise.resolve()
    return Promise.reject(new MatrixError('M_FORBIDDEN', 'Pictures of people are not kept for Matrix programs yet'))
  }

  async #ofMessage(
    account: Identity,
    message: MessageId,
    { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<Readable> {
    const { conversations, files } = this.#parts.services
    const part = conversations.message(account, message)?.file?.part
    if (part === undefined) throw notFound()
    const waited = await untilHere(files, account, message, { ms: waitMs, signal })
    if (waited === 'gone') throw notFound()
    if (waited === 'no-room') throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'There is no room for this file here')
    if (waited === 'coming') throw new MatrixError('M_NOT_YET_UPLOADED', 'This file is still on its way')
    const { name, mediaType, content, thumbnail } = part
    return {
      name,
      mediaType,
      size: sizeOfContent(content),
      thumbnail,
      read: (range) => files.read(account, message, range),
    }
  }
}

const notFound = (): MatrixError => new MatrixError('M_NOT_FOUND', 'There is no such file here')

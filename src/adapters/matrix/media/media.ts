/** Files by mxc URI: what was uploaded, and the files of messages. */
import type { PreparedFile } from '../../../core/delivery/files.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'

export class Media {
  readonly #names: Names

  constructor({ names }: { readonly names: Names }) {
    this.#names = names
  }

  fileUrl(_account: Identity, message: MessageId): string {
    return `mxc://${this.#names.server}/m${Buffer.from(message, 'hex').toString('base64url')}`
  }

  /** @throws MatrixError */
  fileBehind(_account: Identity, _url: string): Promise<PreparedFile> {
    return Promise.reject(new MatrixError('M_NOT_FOUND', 'There is no such file here'))
  }

  async fileSaid(_account: Identity, _url: string, _message: MessageId): Promise<void> {
    await Promise.resolve()
  }

  avatarOf(_account: Identity, _who: Identity): string | undefined {
    return undefined
  }

  setAvatar(_account: Identity, _url: string): Promise<void> {
    return Promise.reject(new MatrixError('M_FORBIDDEN', 'Pictures are not set here yet'))
  }
}

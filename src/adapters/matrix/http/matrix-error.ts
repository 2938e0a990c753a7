/** What a program is told that asked for something it does not get (Client-Server API, "Standard error response"). */

export const errcodes = {
  M_FORBIDDEN: 403,
  M_UNKNOWN_TOKEN: 401,
  M_MISSING_TOKEN: 401,
  M_BAD_JSON: 400,
  M_NOT_JSON: 400,
  M_NOT_FOUND: 404,
  M_LIMIT_EXCEEDED: 429,
  M_UNRECOGNIZED: 404,
  M_UNKNOWN: 400,
  M_INVALID_PARAM: 400,
  M_MISSING_PARAM: 400,
  M_INVALID_SIGNATURE: 400,
  M_TOO_LARGE: 413,
  M_INVALID_USERNAME: 400,
  M_USER_IN_USE: 400,
  M_ROOM_IN_USE: 400,
  M_UNSUPPORTED_ROOM_VERSION: 400,
  M_UNKNOWN_POS: 400,
  M_WRONG_ROOM_KEYS_VERSION: 403,
  M_RESOURCE_LIMIT_EXCEEDED: 403,
  M_USER_DEACTIVATED: 403,
  M_NOT_YET_UPLOADED: 504,
  M_DUPLICATE_ANNOTATION: 400,
} as const
export type Errcode = keyof typeof errcodes

export class MatrixError extends Error {
  readonly errcode: Errcode
  readonly status: number
  /** Beside `errcode` and `error`. */
  readonly fields: Readonly<Record<string, unknown>>

  /** @param text for the person who reads it: what is wrong and what to do */
  constructor(
    errcode: Errcode,
    text: string,
    { status = errcodes[errcode], fields = {} }: { status?: number; fields?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(text)
    this.name = 'MatrixError'
    this.errcode = errcode
    this.status = status
    this.fields = fields
  }

  get body(): Readonly<Record<string, unknown>> {
    return { errcode: this.errcode, error: this.message, ...this.fields }
  }
}

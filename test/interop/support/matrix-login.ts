/** What is typed into a Matrix client. */
export interface MatrixLogin {
  readonly homeserver: string
  /** A login name or a whole user id. */
  readonly user: string
  readonly password: string
}

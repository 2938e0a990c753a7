/**
 * What is needed to create or open a home. The caller holds the home's lock for as long as the result lives, has made
 * the directory owner-only, and writes `home.json` after `createHome` has succeeded.
 *
 *   operations.ts  createHome(CreateHomeOptions): Promise<NewAccount>
 *                  openStopped(OpenOptions): Promise<Operations & AsyncDisposable>
 *   gateway.ts     openGateway(OpenOptions & { config: Config }): Promise<RunningGateway>
 */
import type { HomeMarker, HomePaths } from './home.ts'
import type { Logger } from './log.ts'

export interface CreateHomeOptions {
  readonly paths: HomePaths
  /** Default: `<loginName>@<own zone key>.myc`. */
  readonly address: string | undefined
  readonly displayName: string | undefined
  /** The operating system's name for the user; may hold anything. */
  readonly loginName: string
  readonly serviceDomain: string
  /** Without one the key store is unlocked by an owner-only key file. */
  readonly passphrase: string | undefined
  /** Nobody will see the words now: keep them sealed until they are confirmed. */
  readonly keepWords: boolean
  readonly log: Logger
}

export interface OpenOptions {
  readonly paths: HomePaths
  readonly marker: HomeMarker
  readonly passphrase: string | undefined
  /** Of the program, for `status`. */
  readonly version: string
  readonly log: Logger
}

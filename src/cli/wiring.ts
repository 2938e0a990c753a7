/** What the command line needs from the rest; main.ts provides it, and loads the heavy parts only when they are used. */
import type { Config } from '../config.ts'
import type { Operations } from '../core/control.ts'
import type { BackupCounts, Listeners, NewAccount } from '../core/control-views.ts'

/** A gateway that is up: every listener accepts. Disposing drains and closes. */
export interface RunningGateway extends AsyncDisposable {
  readonly listeners: Listeners
  readonly operations: Operations
  /** Resolves when `stop` was asked for over the control socket; rejects when the gateway cannot go on. */
  readonly ended: Promise<void>
}

export interface NewHome {
  /** Default: `<login name>@<own zone key>.myc`. */
  readonly address: string | undefined
  readonly displayName: string | undefined
  /** Domain of own ids on chat protocols; default `localhost`. */
  readonly serviceDomain: string | undefined
  /** Without one the key store is unlocked by an owner-only key file. */
  readonly passphrase: string | undefined
  /** Nobody will see the words now: keep them sealed until they are confirmed. */
  readonly keepWords: boolean
}

export type HomeState =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'home'; readonly keyStore: 'passphrase' | 'key-file' }

export interface BackupSink {
  readonly output: (bytes: Uint8Array) => Promise<void>
  readonly signal: AbortSignal
}

export interface Wiring {
  readonly version: string
  /** How this program is started: Node and the entry, absolute. */
  readonly command: readonly string[]
  controlSocket(home: string): string
  /** @throws `home-invalid` */
  inspect(home: string): HomeState
  /** @throws `home-locked`, `home-invalid`, `invalid-address` */
  createHome(home: string, options: NewHome): Promise<NewAccount>
  /** A home without an account, for one that other devices have. @throws as `createHome` */
  createEmptyHome(home: string, passphrase: string | undefined): Promise<void>
  /** The same operations on a stopped home, under its lock. @throws `home-locked`, `wrong-credentials`, `store-corrupt` */
  openStopped(home: string, passphrase: string | undefined): Promise<Operations & AsyncDisposable>
  /** As the operation `backupRead`, of a home that nobody has open; its passphrase is not needed. @throws `home-locked`, `store-corrupt` */
  readStopped(home: string, to: BackupSink): Promise<BackupCounts>
  /** Makes a home where there is none. @throws `home-locked`, `home-invalid`, `malformed`, `disk-full` */
  restoreHome(home: string, source: AsyncIterable<Uint8Array>): Promise<BackupCounts>
  /** @throws `home-locked`, `port-in-use`, `wrong-credentials`, `store-corrupt` */
  start(home: string, config: Config, passphrase: string | undefined): Promise<RunningGateway>
}

/** The process as the commands see it. */
export interface Terminal {
  out(text: string): void
  err(text: string): void
  /** A person is there: secrets may be shown and questions asked. */
  readonly interactive: boolean
  ask(question: string, options?: { readonly hidden?: boolean }): Promise<string>
  /** All of standard input, without a final line break; a secret, where no size is given. @throws `too-large` */
  readStdin(bytesMax?: number): Promise<string>
  /** Aborts at the first SIGINT or SIGTERM. */
  readonly stop: AbortSignal
}

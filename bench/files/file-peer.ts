/** One gateway's node in a process of its own that sends and takes files, and may be killed and started again. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MessageId } from '../../src/core/ids.ts'
import { type Child, startChild } from '../support/child.ts'

export type FilePeerRequest =
  | { readonly do: 'pid' }
  | { readonly do: 'invite' }
  | { readonly do: 'accept'; readonly link: string }
  | { readonly do: 'say'; readonly text: string }
  | { readonly do: 'send'; readonly path: string }
  | { readonly do: 'fate'; readonly message: MessageId }
  | { readonly do: 'standing'; readonly message: MessageId }
  | { readonly do: 'hash'; readonly message: MessageId }

export type FilePeerEvent =
  /** A chunk is given to whoever asked, by its number. */
  | { readonly given: number }
  | { readonly fate: 'delivered' | 'failed'; readonly message: MessageId }
  | { readonly shown: MessageId }

export class FilePeer implements AsyncDisposable {
  readonly name: string
  readonly #home: string
  readonly #onEvent: (event: FilePeerEvent) => void
  #child: Child<FilePeerRequest> | undefined

  static async start(name: string, onEvent: (event: FilePeerEvent) => void): Promise<FilePeer> {
    const peer = new FilePeer(name, await mkdtemp(join(tmpdir(), `mycelium-bench-${name}-`)), onEvent)
    await peer.start()
    return peer
  }

  private constructor(name: string, home: string, onEvent: (event: FilePeerEvent) => void) {
    this.name = name
    this.#home = home
    this.#onEvent = onEvent
  }

  /** Each start listens at another address. */
  async start(): Promise<void> {
    this.#child = await startChild<FilePeerRequest, FilePeerEvent>({
      program: '../files/file-peer-process.ts',
      args: [this.#home, this.name],
      onEvent: this.#onEvent,
    })
  }

  async kill(): Promise<void> {
    await this.#child?.kill()
  }

  async ask<T>(request: FilePeerRequest): Promise<T> {
    return await this.#child!.ask<T>(request)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]()
    await rm(this.#home, { recursive: true, force: true })
  }
}

/** One of the two gateways of the fault run across its lives: a home, a disk that may lose its power, and a process. */
import type { Faults } from '../../test/support/unreliable-overlay.ts'
import { type Child, startChild } from './child.ts'
import type { FaultsEvent, FaultsRequest, Outgoing, Waiting } from './faults-process.ts'
import type { Shown } from './ledger.ts'
import { type Disk, keepWrites, losePower, makeDisk, shimEnvironment, startLying, whileWriting } from './power-loss.ts'
import type { Random } from './seeded.ts'

export interface SideOptions {
  readonly name: string
  readonly folder: string
  readonly shim: string
  readonly link: Faults
  readonly onEvent: (event: FaultsEvent) => void
}

export class Side implements AsyncDisposable {
  readonly name: string
  readonly #options: SideOptions
  readonly #disk: Disk
  #child: Child<FaultsRequest> | undefined
  /** Chosen by the first life and kept, so that the other side finds this one again. */
  #port = 0

  private constructor(options: SideOptions, disk: Disk) {
    this.name = options.name
    this.#options = options
    this.#disk = disk
  }

  static async start(options: SideOptions): Promise<Side> {
    const disk = makeDisk(options.folder, options.name)
    const side = new Side(options, disk)
    await side.restart()
    side.#port = await side.#ask<number>({ do: 'port' })
    return side
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  async restart(): Promise<void> {
    const { name, link, onEvent, shim } = this.#options
    this.#child = await startChild<FaultsRequest, FaultsEvent>({
      program: 'faults-process.ts',
      args: [this.#disk.home, name, String(this.#port), JSON.stringify(link)],
      environment: shimEnvironment(shim, this.#disk),
      onEvent,
    })
  }

  /** `kill -9`; what was written stays. */
  async kill(): Promise<void> {
    await this.#end()
    keepWrites(this.#disk)
  }

  /**
   * The same with power loss, mostly in the middle of a write: of what was not synced, each page is lost with
   * probability `share`. @returns how many were
   */
  async pullPlug(share: number, random: Random): Promise<number> {
    if (random() < 0.8) await whileWriting(this.#disk)
    await this.#end()
    return losePower(this.#disk, share, random)
  }

  /** From now on its disk only says that it writes. */
  lie(): void {
    startLying(this.#disk)
  }

  invite(): Promise<string> {
    return this.#ask({ do: 'invite' })
  }
  accept(link: string): Promise<void> {
    return this.#ask({ do: 'accept', link })
  }
  /** Resolves when all are acknowledged. @throws ChildEnded */
  submit(first: number, count: number): Promise<void> {
    return this.#ask({ do: 'submit', first, count })
  }
  outgoing(): Promise<Outgoing> {
    return this.#ask({ do: 'outgoing' })
  }
  incoming(): Promise<readonly Shown[]> {
    return this.#ask({ do: 'incoming' })
  }
  waiting(): Promise<Waiting> {
    return this.#ask({ do: 'waiting' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]()
  }

  async #ask<T>(request: FaultsRequest): Promise<T> {
    return await this.#child!.ask<T>(request)
  }

  async #end(): Promise<void> {
    const child = this.#child!
    this.#child = undefined
    await child.kill()
  }
}

/** One node in a process of its own, told what to do over IPC: the far side of benchmarks. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, startChild } from './child.ts'

export type PeerRequest =
  | { readonly do: 'invite' }
  | { readonly do: 'accept'; readonly link: string }
  /** Submits mails of `bytes` body bytes to the only contact, `atOnce` at a time, and waits until all are acknowledged. */
  | {
      readonly do: 'send'
      readonly count: number
      readonly bytes: number
      readonly atOnce: number
      readonly firstNumber: number
    }
  | { readonly do: 'received' }
  | { readonly do: 'cpu' }

export type Peer = Pick<Child<PeerRequest>, 'ask' | typeof Symbol.asyncDispose>

export async function startPeer(name: string): Promise<Peer> {
  const home = await mkdtemp(join(tmpdir(), `mycelium-bench-${name}-`))
  const child = await startChild<PeerRequest>({ program: 'peer-process.ts', args: [home, name] })
  return {
    ask: (request) => child.ask(request),
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]()
      await rm(home, { recursive: true, force: true })
    },
  }
}

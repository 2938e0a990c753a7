/** What a test in network namespaces needs of the machine. */
import { spawnSync } from 'node:child_process'
import type { TestContext } from 'vitest'
import { type Peer, requirePeer, skipWithReason } from '../interop/support/peers.ts'

/** Ends the test as skipped (or failed, with CI set) where namespaces cannot be made. */
export function requireNamespaces(context: TestContext, ...peers: readonly Peer[]): void {
  requirePeer(context, 'ip', 'nft', ...peers)
  if (process.getuid?.() !== 0) skipWithReason(context, 'network namespaces need root')
  const probe = `myclab-${process.pid}-probe`
  const made = spawnSync('ip', ['netns', 'add', probe], { encoding: 'utf8' })
  if (made.status !== 0) skipWithReason(context, `no network namespaces: ${made.stderr.trim()}`)
  spawnSync('ip', ['netns', 'delete', probe])
}

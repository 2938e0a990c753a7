/** What a test in network namespaces needs of the machine. */
import { spawnSync } from 'node:child_process'
import type { TestContext } from 'vitest'
import { type Peer, requirePeer, skipWithReason } from '../interop/support/peers.ts'

const obstacle = findObstacle()

/** For what is set up before the first test, which cannot be skipped by itself. */
export const canMakeNamespaces = (): boolean => obstacle === undefined

/** Ends the test as skipped (or failed, with CI set) where namespaces cannot be made. */
export function requireNamespaces(context: TestContext, ...peers: readonly Peer[]): void {
  requirePeer(context, 'ip', 'nft', ...peers)
  if (obstacle !== undefined) skipWithReason(context, obstacle)
}

function findObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const probe = `myclab-${process.pid}-probe`
  const { status, stderr } = spawnSync('ip', ['netns', 'add', probe], { encoding: 'utf8' })
  if (status !== 0) return `no network namespaces: ${stderr ?? 'the program ip is missing'}`
  spawnSync('ip', ['netns', 'delete', probe])
  return undefined
}

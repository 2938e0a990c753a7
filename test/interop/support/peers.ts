/**
 * Which real programs a test needs. A missing one skips the test with its name and the package that brings it; where
 * CI is set it fails instead, so that a green CI run always means that the real programs were there.
 */
import { accessSync, constants } from 'node:fs'
import { delimiter, resolve } from 'node:path'
import type { TestContext } from 'vitest'

/** Program (or folder, by its whole path) → Debian package; `.ci/install-peers` installs these packages. */
const packageOf = {
  prosody: 'prosody',
  '/usr/lib/prosody/modules/mod_privilege': 'prosody-modules',
  ejabberdctl: 'ejabberd',
  erl: 'erlang-base',
  swaks: 'swaks',
  msmtp: 'msmtp',
  curl: 'curl',
  neomutt: 'neomutt',
  mutt: 'mutt',
  mbsync: 'isync',
  offlineimap: 'offlineimap3',
  thunderbird: 'thunderbird',
  Xvfb: 'xvfb',
  geary: 'geary',
  'dbus-run-session': 'dbus',
  'gnome-keyring-daemon': 'gnome-keyring',
  'secret-tool': 'libsecret-tools',
  dockerd: 'docker.io',
  'docker-compose': 'docker-compose',
  debootstrap: 'debootstrap',
  slirp4netns: 'slirp4netns',
  'systemd-analyze': 'systemd',
  ip: 'iproute2',
  nft: 'nftables',
  miniupnpd: 'miniupnpd',
  chromium: 'chromium',
  profanity: 'profanity',
  tmux: 'tmux',
  'dino-im': 'dino-im',
  gajim: 'gajim',
  xdotool: 'xdotool',
  unshare: 'util-linux',
  python3: 'python3',
  '/usr/lib/python3/dist-packages/pyatspi': 'python3-pyatspi',
  '/usr/lib/python3/dist-packages/slixmpp': 'python3-slixmpp',
  '/usr/lib/python3/dist-packages/nio': 'python3-matrix-nio',
  nheko: 'nheko',
} as const

export type Peer = keyof typeof packageOf

function isInstalled(peer: Peer): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(resolve(folder, peer), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Ends the test as skipped (or failed, with CI set) unless every peer is installed. */
export function requirePeer(context: TestContext, ...peers: readonly Peer[]): void {
  const missing = peers.filter((peer) => !isInstalled(peer))
  if (missing.length === 0) return
  const names = missing.map((peer) => `${peer} (Debian package ${packageOf[peer]})`)
  skipWithReason(context, `missing real peer: ${names.join(', ')}`)
}

/** Ends the test as skipped, or as failed with CI set, where everything that a test needs must be there. */
export function skipWithReason(context: TestContext, reason: string): void {
  if (!['', '0', 'false', undefined].includes(process.env['CI'])) throw new Error(reason)
  context.skip(reason)
}

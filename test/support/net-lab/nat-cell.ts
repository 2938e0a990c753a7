/** Two fresh gateways at two sites of an internet, and what becomes of their mail and of their way to each other. */
import type { PeerView } from '../../../src/core/control-views.ts'
import type { Internet, SiteKind } from './internet.ts'
import { becomeContacts, type LabGateway, startLabGateway, until } from './lab-gateway.ts'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Cell {
  readonly from: SiteKind
  readonly to: SiteKind
  /** Both mails arrived. */
  readonly delivered: boolean
  readonly how: 'direct' | 'relayed' | 'none'
  readonly transport: string | undefined
  /** Where the inviter sees the guest. */
  readonly remote: string | undefined
  /** Seconds from its submission until the first mail was in the other's INBOX. */
  readonly firstMailSeconds: number
  /** Seconds from the invitation's acceptance until the two were connected directly. */
  readonly directSeconds: number | undefined
}

/** A gateway with a public address that carries connections of others. @returns its LOCATOR/p2p/ID beside it */
export async function startRelay(internet: Internet): Promise<LabGateway & { readonly multiaddr: string }> {
  const site = await internet.add('open')
  const relay = await startLabGateway('relay', site.host, ['overlay.relay=true', 'overlay.mdns=false'])
  const multiaddr = relay.listeners.find((at) => at.startsWith(`/ip4/${site.address}/tcp/`) && !at.includes('/ws/'))!
  return { ...relay, multiaddr, [Symbol.asyncDispose]: async () => await relay[Symbol.asyncDispose]() }
}

/** @param directMsMax how long to wait for a direct connection after the mails */
export async function runCell(
  internet: Internet,
  relay: { readonly multiaddr: string },
  [from, to]: readonly [SiteKind, SiteKind],
  directMsMax: number,
): Promise<Cell> {
  const settings = [`overlay.bootstrap=["${relay.multiaddr}"]`, 'overlay.mdns=false', 'log.level=debug']
  const [near, far] = await Promise.all([internet.add(from), internet.add(to)])
  await using scope = new AsyncDisposableStack()
  const [alice, bob] = (await Promise.all(
    (
      [
        ['alice', near.host],
        ['bob', far.host],
      ] as const
    ).map(async ([name, host]) => scope.use(await startLabGateway(name, host, settings))),
  )) as [LabGateway, LabGateway]
  // an invitation names the ways there that are known when it is made
  await until('connected with the relay', async () => (await alice.ask('status', {})).peersConnected > 0, 20_000)
  const startedAt = performance.now()
  await becomeContacts(alice, bob)
  const direct = directAfter(alice, startedAt, directMsMax)
  direct.catch(() => {}) // the cell may fail before anybody waits for it
  const sentAtMs = Date.now()
  await alice.send(bob.address, 'there')
  const [there, back] = await Promise.all([
    bob.waitFor('there').catch(() => undefined),
    bob
      .send(alice.address, 'back')
      .then(async () => await alice.waitFor('back'))
      .catch(() => undefined),
  ])
  const directSeconds = await direct
  const peer = await peerOf(alice)
  return {
    from,
    to,
    delivered: there !== undefined && back !== undefined,
    how: peer?.how ?? 'none',
    transport: peer?.transport,
    remote: peer?.remote,
    firstMailSeconds: there === undefined ? Number.NaN : (there - sentAtMs) / 1000,
    directSeconds,
  }
}

async function directAfter(gateway: LabGateway, startedAt: number, msMax: number): Promise<number | undefined> {
  for (;;) {
    const tookMs = performance.now() - startedAt
    if ((await peerOf(gateway))?.how === 'direct') return tookMs / 1000
    if (tookMs > msMax) return undefined
    await sleep(50)
  }
}

/** The gateway of its one contact. */
async function peerOf(gateway: LabGateway): Promise<PeerView | undefined> {
  return (await gateway.ask('peers', {})).find(({ contacts }) => contacts.length > 0)
}

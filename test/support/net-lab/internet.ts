/**
 * An internet of its own: one namespace that routes between sites, each with a host behind what people have between
 * them and the internet. Its addresses look global (a range that nobody announces), and no packet leaves it.
 */
import { connect, type Namespace, Namespaces } from './namespaces.ts'

/**
 * `open`: the host has a public address. `restricted`: a router that keeps a socket's port for all peers and lets in
 * whom the socket has sent to. `symmetric`: a port for each peer. `double`: two routers of the second kind in a row.
 */
export const siteKinds = ['open', 'restricted', 'symmetric', 'double'] as const
export type SiteKind = (typeof siteKinds)[number]

export interface Site {
  readonly kind: SiteKind
  readonly host: Namespace
  /** Of the host itself, public or not. */
  readonly address: string
  /** As the internet sees the site. */
  readonly outside: string
  /** From the host outwards. */
  readonly routers: readonly Namespace[]
}

export interface Internet extends AsyncDisposable {
  add(kind: SiteKind): Promise<Site>
}

export async function openInternet(): Promise<Internet> {
  const namespaces = await Namespaces.open()
  const backbone = await namespaces.add()
  await backbone.set('net.ipv4.ip_forward', '1')
  let sites = 0

  /** A cable to the backbone, with the one address that the provider gives. */
  async function uplink(to: Namespace, number: number): Promise<string> {
    await connect([backbone, `site${number}`], [to, 'wan'])
    await backbone.ip(`addr add 11.77.${number}.1/24 dev site${number}`)
    await to.ip(`addr add 11.77.${number}.2/24 dev wan`)
    await to.ip(`route add default via 11.77.${number}.1`)
    return `11.77.${number}.2`
  }

  async function router(masquerade: string): Promise<Namespace> {
    const namespace = await namespaces.add()
    await namespace.set('net.ipv4.ip_forward', '1')
    await namespace.rules(routerRules(masquerade))
    return namespace
  }

  async function lan(inner: Namespace, outer: Namespace, network: string, port: string): Promise<string> {
    await connect([outer, 'lan'], [inner, port])
    await outer.ip(`addr add ${network}.1/24 dev lan`)
    await inner.ip(`addr add ${network}.2/24 dev ${port}`)
    await inner.ip(`route add default via ${network}.1`)
    return `${network}.2`
  }

  return {
    async add(kind) {
      sites += 1
      const number = sites
      const host = await namespaces.add()
      if (kind === 'open') {
        const address = await uplink(host, number)
        return { kind, host, address, outside: address, routers: [] }
      }
      const home = await router(kind === 'symmetric' ? 'masquerade fully-random' : 'masquerade')
      const address = await lan(host, home, `192.168.${number}`, 'eth0')
      if (kind !== 'double') return { kind, host, address, outside: await uplink(home, number), routers: [home] }
      const provider = await router('masquerade')
      await lan(home, provider, `100.64.${number}`, 'wan')
      return { kind, host, address, outside: await uplink(provider, number), routers: [home, provider] }
    },
    async [Symbol.asyncDispose]() {
      await namespaces[Symbol.asyncDispose]()
    },
  }
}

/** As a home router does it: what nobody inside asked for is dropped before the kernel remembers it. */
const routerRules = (masquerade: string): string => `
  table ip nat {
    chain postrouting {
      type nat hook postrouting priority 100
      oifname "wan" ${masquerade}
    }
  }
  table ip filter {
    chain input {
      type filter hook input priority 0
      iifname "wan" ct state new drop
    }
    chain forward {
      type filter hook forward priority 0; policy drop
      ct state established,related accept
      iifname "lan" accept
      ct status dnat accept
    }
  }
`

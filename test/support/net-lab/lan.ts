/** Machines on one switch, without a way to anywhere else. */
import { connect, type Namespace, Namespaces } from './namespaces.ts'

export interface Lan extends AsyncDisposable {
  /** @param addresses with prefix length, e.g. `192.168.7.2/24` */
  add(...addresses: readonly string[]): Promise<Namespace>
}

export async function openLan(): Promise<Lan> {
  const namespaces = await Namespaces.open()
  const hub = await namespaces.add()
  await hub.ip('link add hub type bridge mcast_snooping 0')
  await hub.ip('link set hub up')
  let machines = 0
  return {
    async add(...addresses) {
      machines += 1
      const machine = await namespaces.add()
      await machine.set('net.ipv6.conf.all.accept_dad', '0')
      await machine.set('net.ipv6.conf.default.accept_dad', '0')
      await connect([hub, `port${machines}`], [machine, 'eth0'])
      await hub.ip(`link set port${machines} master hub`)
      for (const address of addresses) await machine.ip(`addr add ${address} dev eth0${nodad(address)}`)
      return machine
    },
    async [Symbol.asyncDispose]() {
      await namespaces[Symbol.asyncDispose]()
    },
  }
}

const nodad = (address: string): string => (address.includes(':') ? ' nodad' : '')

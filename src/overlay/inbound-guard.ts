/** Counts connections that others open to us, per address and in total, from their first packet on. */
import { isIPv6 } from 'node:net'
import { limits } from '../core/limits.ts'

/** Addresses that one party has at will count as one: a /64 of IPv6. */
export function sourceOf(host: string): string {
  if (!isIPv6(host)) return host
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)
  if (mapped !== null) return mapped[1]!
  const [head = '', tail] = host.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length
    while (groups.length < 8 - after) groups.push('0')
  }
  while (groups.length < 4) groups.push('0')
  return `${groups.slice(0, 4).join(':')}::/64`
}

export class InboundGuard {
  readonly #perSource = new Map<string, number>()
  #total = 0

  /** True when the connection may go on; then `left` is owed once. */
  enter(host: string): boolean {
    const source = sourceOf(host)
    const open = this.#perSource.get(source) ?? 0
    if (open >= limits.connectionsPerAddressMax || this.#total >= limits.connectionsMax) return false
    this.#perSource.set(source, open + 1)
    this.#total += 1
    return true
  }

  left(host: string): void {
    const source = sourceOf(host)
    const open = (this.#perSource.get(source) ?? 1) - 1
    if (open === 0) this.#perSource.delete(source)
    else this.#perSource.set(source, open)
    this.#total -= 1
  }
}

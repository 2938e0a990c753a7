/** Keeps the listeners' certificate valid: made at first start, renewed by itself, given out on every handshake. */
import { hostname } from 'node:os'
import type { Ambient } from '../core/ambient.ts'
import { parseDomain } from '../core/message/address.ts'
import { createAuthority, createLeaf, type Credential, fingerprintOf, namesFor, needsRenewal } from './authority.ts'

/** Where both credentials live, private keys included: sealed, in the store. */
export interface CertificateStore {
  load(): CertificatePair | undefined
  /** Resolves when durable. */
  save(pair: CertificatePair): Promise<void>
}
export interface CertificatePair {
  readonly authority: Credential
  readonly leaf: Credential
}

export interface Certificates extends Disposable {
  /** What the listeners present now; cheap, for each handshake. */
  readonly material: () => { readonly key: string; readonly cert: string }
  readonly authority: () => { readonly certificate: string; readonly fingerprint: string; readonly notAfterMs: number }
  readonly pair: () => CertificatePair
  /** Looks now whether anything must be renewed; the timer does it twice a day. */
  renewIfNeeded(): Promise<void>
}

const checkEveryMs = 12 * 3_600_000

/** @param hostnames further names of this machine; a new one means a new authority, which clients must be told to trust */
export async function openCertificates(
  store: CertificateStore,
  hostnames: readonly string[],
  ambient: Ambient,
): Promise<Certificates> {
  let pair = await current(store, hostnames, ambient)
  const renewIfNeeded = async (): Promise<void> => {
    pair = await current(store, hostnames, ambient)
  }
  const timer = setInterval(() => {
    renewIfNeeded().catch(() => ambient.log.error('certificates.renewal-failed'))
  }, checkEveryMs)
  timer.unref()
  return {
    material: () => ({ key: pair.leaf.keyPem, cert: pair.leaf.certificatePem }),
    authority: () => ({
      certificate: pair.authority.certificatePem,
      fingerprint: fingerprintOf(pair.authority),
      notAfterMs: pair.authority.notAfterMs,
    }),
    pair: () => pair,
    renewIfNeeded,
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

/** The stored pair, with whatever had to be made anew saved first. */
export async function current(
  store: CertificateStore,
  hostnames: readonly string[],
  ambient: Ambient,
): Promise<CertificatePair> {
  const stored = store.load()
  const names = namesFor(hostnames)
  const nowMs = ambient.clock.nowMs()
  // A clock that stands before the authority's beginning is wrong, and no reason to make clients trust a new one.
  const authorityNowMs = Math.max(nowMs, stored?.authority.notBeforeMs ?? 0)
  const keepAuthority = stored !== undefined && !needsRenewal(stored.authority, names, authorityNowMs)
  if (keepAuthority && !needsRenewal(stored.leaf, names, nowMs)) return stored
  const authority = keepAuthority ? stored.authority : await createAuthority(namesForAuthority(hostnames), ambient)
  const pair = { authority, leaf: await createLeaf(authority, names, ambient) }
  await store.save(pair)
  ambient.log.info('certificates.made', { authority: !keepAuthority })
  return pair
}

/** The machine's own name too, so that turning on a listener for the local network needs no new authority. */
function namesForAuthority(hostnames: readonly string[]): readonly string[] {
  const own = parseDomain(hostname())
  return namesFor(own === undefined ? hostnames : [...hostnames, own])
}

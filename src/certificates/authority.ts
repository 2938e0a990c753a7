/**
 * The gateway's own certificate authority: one for each home, constrained to this machine's names, and the short-lived
 * certificate that it signs for the listeners. ECDSA P-256 throughout; what Apple asks of a server certificate (at most
 * 825 days, names in the SAN, serverAuth) holds. The library's crypto provider is one for the whole process and libp2p's
 * TLS needs its own there, so it is passed with every call here and never set.
 */
import 'reflect-metadata'
import { webcrypto, X509Certificate as NodeCertificate } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { isIP } from 'node:net'
import { toHex } from '../core/bytes.ts'
import type { Ambient } from '../core/ambient.ts'
import { encodeNameConstraints, nameConstraintsOid } from './name-constraints.ts'

const dayMs = 86_400_000
/** Fixed, so that an authority made while the clock was wrong is good after the clock was set. */
const authorityNotBeforeMs = Date.UTC(2026, 0, 1)
const authorityDays = 3650
const leafDays = 397
/** A leaf is replaced this long before its end. */
const renewBeforeDays = 60
/** So that a client whose clock is behind accepts a fresh certificate. */
const backdateMs = dayMs

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** What every gateway answers to. */
export const localNames = ['localhost', '127.0.0.1', '::1'] as const

/** A certificate with its private key; PEM. The key is secret: it lives in the key store only. */
export interface Credential {
  readonly keyPem: string
  readonly certificatePem: string
  /** Host names and addresses that the certificate is good for, or that the authority may vouch for. */
  readonly names: readonly string[]
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** The names in one order, without repetition. @param hostnames of the machine, beyond the local ones */
export const namesFor = (hostnames: readonly string[]): readonly string[] => [
  ...new Set([...localNames, ...hostnames.map((name) => name.toLowerCase())]),
]

/**
 * Whether a credential must be made anew: near its end, not begun yet (the clock was set back), or without one of the
 * names it needs.
 */
export function needsRenewal(credential: Credential, names: readonly string[], nowMs: number): boolean {
  return (
    nowMs > credential.notAfterMs - renewBeforeDays * dayMs ||
    nowMs < credential.notBeforeMs ||
    names.some((name) => !credential.names.includes(name))
  )
}

export async function createAuthority(names: readonly string[], { clock, random }: Ambient): Promise<Credential> {
  const keys = await generateKeys()
  const validity = { ...validityFrom(clock.nowMs(), authorityDays), notBeforeMs: authorityNotBeforeMs }
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      // The number tells the authorities of several homes apart: clients look issuers up by name.
      name: `CN=Mycelium gateway on this machine ${toHex(random.bytes(3))}`,
      serialNumber: serial(random),
      ...datesOf(validity),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new Extension(nameConstraintsOid, true, encodeNameConstraints(names).slice()),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  )
  return { ...(await pemOf(keys, certificate)), names, ...validity }
}

/** Signs for `names`, whatever they are: what the authority's constraints forbid, no client accepts. */
export async function createLeaf(
  authority: Credential,
  names: readonly string[],
  { clock, random }: Ambient,
): Promise<Credential> {
  const keys = await generateKeys()
  const issuer = new X509Certificate(authority.certificatePem)
  const full = validityFrom(clock.nowMs(), leafDays)
  const validity = { ...full, notAfterMs: Math.min(full.notAfterMs, authority.notAfterMs) }
  const certificate = await X509CertificateGenerator.create(
    {
      subject: `CN=${names[0]}`,
      issuer: issuer.subject,
      serialNumber: serial(random),
      ...datesOf(validity),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: await importKey(authority.keyPem),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(
          names.map((name) => ({ type: isIP(name) === 0 ? 'dns' : 'ip', value: name }) as const),
        ),
        await AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  )
  return { ...(await pemOf(keys, certificate)), names, ...validity }
}

/** SHA-256 of the certificate, upper-case hex with colons: what systems show before they trust it. */
export const fingerprintOf = ({ certificatePem }: Credential): string =>
  new NodeCertificate(certificatePem).fingerprint256

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

async function importKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  const [pkcs8] = PemConverter.decode(keyPem)
  return await webcrypto.subtle.importKey('pkcs8', pkcs8!, algorithm, false, ['sign'])
}

async function pemOf(
  keys: webcrypto.CryptoKeyPair,
  certificate: X509Certificate,
): Promise<Pick<Credential, 'keyPem' | 'certificatePem'>> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    keyPem: `${PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    certificatePem: `${certificate.toString('pem')}\n`,
  }
}

/** Whole seconds, as certificates have them. */
function validityFrom(nowMs: number, days: number): Pick<Credential, 'notBeforeMs' | 'notAfterMs'> {
  const startMs = Math.floor((nowMs - backdateMs) / 1000) * 1000
  return { notBeforeMs: startMs, notAfterMs: startMs + days * dayMs }
}

const datesOf = ({ notBeforeMs, notAfterMs }: Pick<Credential, 'notBeforeMs' | 'notAfterMs'>) => ({
  notBefore: new Date(notBeforeMs),
  notAfter: new Date(notAfterMs),
})

/** 16 random octets, positive and without a leading zero (RFC 5280 §4.1.2.2). */
function serial(random: Ambient['random']): string {
  const octets = Uint8Array.from(random.bytes(16))
  octets[0] = (octets[0]! & 0x3f) | 0x40
  return toHex(octets)
}

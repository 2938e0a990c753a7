/** Certificates and their private keys in the store, sealed like everything else there. */
import { fromUtf8 } from '../core/bytes.ts'
import { array, decode, encode, record, text, u64 } from '../core/codec.ts'
import type { Store } from '../core/store/store.ts'
import { tables } from '../core/store/tables.ts'
import type { Credential } from './authority.ts'
import type { CertificatePair, CertificateStore } from './certificates.ts'

const pemBytesMax = 16 * 1024
const credentialCodec = record<Credential>({
  keyPem: text(pemBytesMax),
  certificatePem: text(pemBytesMax),
  names: array(text(253), 32),
  notBeforeMs: u64,
  notAfterMs: u64,
})
const pairCodec = record<CertificatePair>({ authority: credentialCodec, leaf: credentialCodec })
const key = fromUtf8('certificates')

export function sealedCertificates(store: Store): CertificateStore {
  return {
    load() {
      const value = store.read((tx) => tx.get(tables.meta, key))
      return value === undefined ? undefined : decode(pairCodec, value)
    },
    async save(pair) {
      await store.write((tx) => tx.put(tables.meta, key, encode(pairCodec, pair)))
    },
  }
}

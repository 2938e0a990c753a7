/** This gateway's zone key, made at the first opening: it signs the names under `<zone key>.myc`. */
import { fromUtf8 } from '../bytes.ts'
import type { Random } from '../ambient.ts'
import { signingKey, type SigningKey } from '../crypto/sign.ts'
import type { Store } from '../store/store.ts'
import { tables } from '../store/tables.ts'

const seedKey = fromUtf8('zone-key')

export async function openZone(store: Store, random: Random): Promise<SigningKey> {
  const known = store.read((tx) => tx.get(tables.meta, seedKey))
  if (known !== undefined) return signingKey(known)
  const seed = random.bytes(32)
  await store.write((tx) => tx.put(tables.meta, seedKey, seed))
  return signingKey(seed)
}

/** The log entries that this gateway issues for its own accounts. Pure: nothing is kept here. */
import { wipe } from '../bytes.ts'
import type { SigningKey } from '../crypto/sign.ts'
import type { Address } from '../ids.ts'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import { createLog, extendLog, nextEntry, verifyLog } from '../identity/account-log.ts'
import { describeDevice, type DeviceSecrets } from '../identity/device.ts'
import { type EntryContent, readEntry, type SignedEntry } from '../identity/log-entry.ts'
import { type ForkProof, mergeLogs } from '../identity/log-merge.ts'
import { rootKeyHash, rootKeyOf } from '../identity/mnemonic.ts'
import type { OwnAccount } from './own-account.ts'

/** create, then the first address, then (first account of a gateway) the zone, all that a new account says of itself. */
export function firstEntries(
  entropy: Uint8Array,
  device: DeviceSecrets,
  address: Address,
  zone: SigningKey | undefined,
  nowMs: number,
): readonly SignedEntry[] {
  const root = rootKeyOf(entropy, 0)
  const contents: EntryContent[] = [{ kind: 'name-address', address, present: true }]
  if (zone !== undefined) contents.push({ kind: 'name-zone', zone: zone.publicKey, present: true })
  const entries = [createLog(root, rootKeyHash(rootKeyOf(entropy, 1).publicKey), device, nowMs)]
  for (const content of contents) {
    const signer = { kind: 'device', device: device.id } as const
    entries.push(nextEntry(verifyLog(entries), signer, device.signing, content, nowMs))
  }
  wipe(root.secretKey)
  return entries
}

/** The new device joins, vouched for by the old one, which then leaves. */
export function replacingEntries(
  { state, device: old }: OwnAccount,
  fresh: DeviceSecrets,
  nowMs: number,
): readonly SignedEntry[] {
  const signer = { kind: 'device', device: old.id } as const
  const device = describeDevice(fresh, state.rootKey, state.devices.get(old.id)!.grants)
  const joins = nextEntry(state, signer, old.signing, { kind: 'add-device', device }, nowMs)
  const joined = extendLog(state, joins)
  return [joins, nextEntry(joined, signer, old.signing, { kind: 'revoke-device', device: old.id }, nowMs)]
}

/**
 * Long enough after the last new device, and room left in the log for what the owner wants to say.
 * @param isCertain the owner has restored a backup: no contact's word is needed, and none can wear the log out
 */
export function mayReplaceDevice({ entries }: OwnAccount, nowMs: number, isCertain: boolean): boolean {
  const added = entries.map(readEntry).filter(({ content }) => content.kind === 'add-device')
  const last = added.at(-1)
  const isRested = last === undefined || Math.abs(nowMs - last.atMs) >= limits.deviceReplaceMsMin
  if (isCertain) return entries.length + 2 <= limits.logEntriesMax
  return isRested && entries.length + 2 <= (limits.logEntriesMax * 3) / 4
}

/**
 * The account's log after another of its devices has shown its own. What this device said in a branch that lost is said
 * again on top of the one that won, where it still says something. The known entries themselves where nothing is new.
 */
export function mergeOwnLog(
  { entries: known, device }: OwnAccount,
  offered: readonly SignedEntry[],
  nowMs: number,
): { readonly entries: readonly SignedEntry[]; readonly fork: ForkProof | undefined } {
  const { entries, outcome, fork } = mergeLogs(known, offered)
  if (outcome !== 'replaced') return { entries: outcome === 'extended' ? entries : known, fork }
  const lost = known.filter((entry) => !entries.some(({ body }) => Buffer.compare(body, entry.body) === 0))
  let state = verifyLog(entries)
  const merged = [...entries]
  for (const { signer, content } of lost.map(readEntry)) {
    if (signer.kind !== 'device' || signer.device !== device.id) continue
    try {
      const entry = nextEntry(state, signer, device.signing, content, nowMs)
      state = extendLog(state, entry)
      merged.push(entry)
    } catch (error) {
      // the other branch says the same, or it may no longer be said
      if (!(error instanceof MyceliumError)) throw error
    }
  }
  return { entries: merged, fork }
}

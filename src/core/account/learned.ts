/** How what a bundle proves joins what is held of a contact: pure functions. */
import type { LogState } from '../identity/account-log.ts'
import { isActive } from '../identity/account-log.ts'
import type { DeviceRecords, VerifiedBundle } from '../identity/bundle.ts'
import { limits } from '../limits.ts'
import { readLocators, supersedes } from '../identity/locators.ts'
import type { SignedEntry } from '../identity/log-entry.ts'
import { type MergedLog, mergeLogs } from '../identity/log-merge.ts'
import { prekeyIdAt, readPrekey, type SignedPrekey } from '../identity/prekeys.ts'

export function mergeKnownLog(
  known: readonly SignedEntry[],
  { entries, state }: VerifiedBundle,
): Pick<MergedLog, 'entries' | 'state' | 'fork'> {
  return known.length === 0 ? { entries, state, fork: undefined } : mergeLogs(known, entries)
}

/** Records of devices that are active in `state`, the better of both sides for each. */
export function mergeDevices(
  known: readonly DeviceRecords[],
  { devices }: VerifiedBundle,
  state: LogState,
  nowMs: number,
): readonly DeviceRecords[] {
  const offered = devices.map(({ signed }) => signed)
  return mergeRecordLists([known, offered], state, nowMs)
}

/** The same of records that were verified before they were kept. */
export function mergeRecordLists(
  [known, offered]: readonly [readonly DeviceRecords[], readonly DeviceRecords[]],
  state: LogState,
  nowMs: number,
): readonly DeviceRecords[] {
  const merged = new Map(known.map((records) => [records.device, records]))
  for (const records of offered) merged.set(records.device, mergeRecords(merged.get(records.device), records, nowMs))
  return [...merged.values()].filter(({ device }) => isActive(state, device))
}

function mergeRecords(known: DeviceRecords | undefined, offered: DeviceRecords, nowMs: number): DeviceRecords {
  if (known === undefined) return { ...offered, prekeys: mergePrekeys([], offered.prekeys, nowMs) }
  const [old, fresh] = [
    known.locators && readLocators(known.locators),
    offered.locators && readLocators(offered.locators),
  ]
  const locators = fresh !== undefined && supersedes(fresh, old, nowMs) ? offered.locators : known.locators
  return { device: offered.device, prekeys: mergePrekeys(known.prekeys, offered.prekeys, nowMs), locators }
}

/** By week, the offered one over the known one; weeks gone by only as long as nothing later is known. */
function mergePrekeys(
  known: readonly SignedPrekey[],
  offered: readonly SignedPrekey[],
  nowMs: number,
): readonly SignedPrekey[] {
  const byWeek = new Map([...known, ...offered].map((signed) => [readPrekey(signed).id, signed]))
  const weeks = [...byWeek.keys()].toSorted((a, b) => a - b)
  const current = weeks.filter((week) => week >= prekeyIdAt(nowMs))
  const kept = current.length > 0 ? current : weeks.slice(-1)
  return kept.slice(0, limits.deviceRecordPrekeysMax).map((week) => byWeek.get(week)!)
}

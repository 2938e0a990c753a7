/** The time that a Date field names (RFC 5322 §3.3 and its obsolete forms), as SORT and THREAD take it (RFC 5256 §2.2). */

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const zoneHours: Readonly<Record<string, number>> = {
  edt: -4,
  est: -5,
  cdt: -5,
  cst: -6,
  mdt: -6,
  mst: -7,
  pdt: -7,
  pst: -8,
}
const fieldCharsMax = 200 // ours
const written =
  /(\d{1,2})[ -]{1,8}([a-z]{3})[a-z]{0,6}[ -]{1,8}(\d{2,4})(?: {1,8}(\d{1,2}):(\d{2})(?::(\d{2}))?(?: {0,8}([+-]\d{4}|[a-z]{1,5}))?)?/

/** Unix milliseconds; `undefined` when it names no day. A time or zone that cannot be is midnight and UTC. */
export function sentDate(field: string): number | undefined {
  const parts = written.exec(field.slice(0, fieldCharsMax).toLowerCase().replaceAll('\t', ' '))
  if (parts === null) return undefined
  const month = months.indexOf(parts[2]!)
  const day = Number(parts[1])
  const midnight = Date.UTC(fullYear(parts[3]!), month, day)
  if (month < 0 || new Date(midnight).getUTCDate() !== day) return undefined
  const [hour, minute, second] = [Number(parts[4] ?? 0), Number(parts[5] ?? 0), Number(parts[6] ?? 0)]
  if (hour > 23 || minute > 59 || second > 60) return midnight
  return midnight + ((hour * 60 + minute - offsetMinutes(parts[7] ?? '')) * 60 + second) * 1000
}

/** RFC 5322 §4.3. */
function fullYear(digits: string): number {
  const year = Number(digits)
  if (digits.length === 4) return year
  return digits.length === 2 && year < 50 ? 2000 + year : 1900 + year
}

function offsetMinutes(zone: string): number {
  if (zone[0] !== '+' && zone[0] !== '-') return (Object.hasOwn(zoneHours, zone) ? zoneHours[zone]! : 0) * 60
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3))
  if (Number(zone.slice(3)) > 59) return 0
  return zone[0] === '-' ? -minutes : minutes
}

/** Dates as commands write them (RFC 9051 §9 date and date-time). */
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

/** `17-Jul-1996 02:44:25 -0700` → Unix milliseconds. */
export function parseDateTime(text: string): number | undefined {
  const parts = /^([ \d]\d)-([a-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$/i.exec(text)
  const day = parts === null ? undefined : dayOf(parts[1]!, parts[2]!, parts[3]!)
  if (parts === null || day === undefined) return undefined
  const [hour, minute, second] = [Number(parts[4]), Number(parts[5]), Number(parts[6])]
  if (hour > 23 || minute > 59 || second > 60) return undefined
  const offset = (Number(parts[8]) * 60 + Number(parts[9])) * (parts[7] === '-' ? -1 : 1)
  return day + ((hour * 60 + minute - offset) * 60 + second) * 1000
}

/** `1-Feb-1994` → midnight UTC, Unix milliseconds. */
export function parseDate(text: string): number | undefined {
  const parts = /^(\d{1,2})-([a-z]{3})-(\d{4})$/i.exec(text)
  return parts === null ? undefined : dayOf(parts[1]!, parts[2]!, parts[3]!)
}

function dayOf(day: string, month: string, year: string): number | undefined {
  const index = months.indexOf(month.toLowerCase())
  const ms = Date.UTC(Number(year), index, Number(day))
  return index >= 0 && new Date(ms).getUTCDate() === Number(day) ? ms : undefined
}

export const dayMs = 86_400_000

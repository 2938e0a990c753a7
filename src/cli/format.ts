/** Text for people: tables, times, durations. */
import { UsageError } from './errors.ts'

/** Columns as wide as their longest cell; control characters of foreign text never reach the terminal. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = [head, ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...clean.map((row) => row[column]?.length ?? 0)))
  return clean
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Foreign text (names, reasons) without control and bidirectional formatting characters. */
export const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�')

/** Local time to the minute; `–` when there is none. */
export function time(ms: number | undefined): string {
  if (ms === undefined) return '–'
  const date = new Date(ms)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** For tables: the end of a long domain is left out, and `…` says so; the whole is in `--json` and `show`. */
export function shortAddress(address: string, charsMax = 32): string {
  if (address.length <= charsMax) return address
  const at = address.lastIndexOf('@')
  const suffix = address.endsWith('.myc') ? '….myc' : '…'
  const room = charsMax - suffix.length
  return at > room - 4 ? `${address.slice(0, charsMax - 1)}…` : address.slice(0, room) + suffix
}

/** Cells of one line that belong to the row above. */
export const indented = (text: string): string => `    ${printable(text)}`

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `90m`, `12h`, `7d` in milliseconds. @throws UsageError */
export function parseDuration(text: string): number {
  const match = /^([1-9]\d{0,5})([mhd])$/.exec(text)
  if (match === null) throw new UsageError(`not a duration: use minutes, hours or days, e.g. 90m, 12h, 7d`)
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
}

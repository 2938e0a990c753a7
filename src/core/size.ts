/** Sizes as people write them: `500MB`, `5GB`, `none`. Units are powers of 1024, as disks of mail are counted (RFC 9208). */

const unitBytes = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 } as const
type Unit = keyof typeof unitBytes

export const sizePattern = /^(?:none|\d{1,9}(?:\.\d{1,3})? ?[KMGTkmgt]?[Bb]?)$/

/** Octets, `Infinity` for `none`; `undefined` for anything else, and for nothing at all. */
export function parseSize(text: string): number | undefined {
  if (!sizePattern.test(text)) return undefined
  if (text === 'none') return Infinity
  const [, number, unit] = /^([\d.]+) ?([KMGT]?)B?$/i.exec(text)!
  const bytes = Math.floor(Number(number) * unitBytes[unit!.toUpperCase() as Unit])
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Three digits and a unit; `none` for no limit. */
export function formatSize(bytes: number): string {
  if (bytes === Infinity) return 'none'
  const unit = (['T', 'G', 'M', 'K'] as const).find((name) => bytes >= unitBytes[name])
  if (unit === undefined) return `${bytes} B`
  const value = bytes / unitBytes[unit]
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ${unit}B`
}

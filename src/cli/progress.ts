/** A line at the bottom of the terminal that says how far something long has come. */
import type { Terminal } from './wiring.ts'

export interface Standing {
  readonly bytes: number
  readonly bytesTotal: number
  readonly messages?: number
}

const everyMs = 200
const barCells = 24

/** Nothing where nobody watches. Disposing leaves the cursor on an empty line. */
export function showStanding(terminal: Terminal, standing: () => Standing): Disposable {
  if (!terminal.interactive) return { [Symbol.dispose]: () => {} }
  const startedAt = performance.now()
  const draw = (): void => terminal.err(`\r${standingLine(standing(), (performance.now() - startedAt) / 1000)}\u001B[K`)
  const timer = setInterval(draw, everyMs)
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      draw()
      terminal.err('\n')
    },
  }
}

export function standingLine({ bytes, bytesTotal, messages }: Standing, seconds: number): string {
  const share = bytesTotal === 0 ? 1 : Math.min(1, bytes / bytesTotal)
  const cells = Math.floor(share * barCells)
  const rate = seconds > 0 ? bytes / seconds : 0
  const left = rate > 0 ? Math.ceil((bytesTotal - bytes) / rate) : undefined
  return [
    `[${'#'.repeat(cells)}${'.'.repeat(barCells - cells)}]`,
    `${Math.floor(share * 100)}%`.padStart(4),
    `${size(bytes)} of ${size(bytesTotal)}`,
    ...(messages === undefined ? [] : [`${messages} messages`]),
    `${size(rate)}/s`,
    ...(left === undefined || share === 1 ? [] : [`${clock(Math.max(0, left))} left`]),
  ].join('  ')
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** Decimal units. */
export function size(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

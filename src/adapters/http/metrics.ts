/** The Prometheus text format 0.0.4. Numbers only: no label ever holds an address, a name or an id. */
import type { HistogramReading } from '../../core/histogram.ts'

/** One value with its labels, e.g. `{ protocol: 'imap', result: 'ok' }`. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Described {
  /** Letters, digits and underscores, with the unit last: `mycelium_queue_messages`. */
  readonly name: string
  readonly help: string
}

export type Metric = Described &
  (
    | { readonly type: 'counter' | 'gauge'; readonly read: () => number | readonly Sample[] }
    | { readonly type: 'histogram'; readonly read: () => HistogramReading }
  )

export function exposition(metrics: readonly Metric[]): string {
  return metrics
    .map((metric) => {
      const { name, help, type } = metric
      return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...linesOf(metric), ''].join('\n')
    })
    .join('')
}

function linesOf(metric: Metric): readonly string[] {
  const { name } = metric
  if (metric.type === 'histogram') {
    const { buckets, count, sumSeconds } = metric.read()
    return [
      ...buckets.map(([bound, below]) => `${name}_bucket{le="${bound}"} ${below}`),
      `${name}_bucket{le="+Inf"} ${count}`,
      `${name}_sum ${sumSeconds}`,
      `${name}_count ${count}`,
    ]
  }
  const value = metric.read()
  if (typeof value === 'number') return [`${name} ${value}`]
  return value.map(({ labels, value }) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
    return `${name}{${pairs.join(',')}} ${value}`
  })
}

const escapeLabel = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

/** What every process has. */
export const processMetrics: readonly Metric[] = [
  {
    name: 'process_resident_memory_bytes',
    help: 'Resident memory.',
    type: 'gauge',
    read: () => process.memoryUsage.rss(),
  },
  {
    name: 'process_cpu_seconds_total',
    help: 'Time spent on the processor, user and system.',
    type: 'counter',
    read: () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1_000_000
    },
  },
  {
    name: 'process_uptime_seconds',
    help: 'Time since the process began.',
    type: 'gauge',
    read: () => process.uptime(),
  },
]

/** The Prometheus text format 0.0.4. Numbers only: no label ever holds an address, a name or an id. */

export interface Metric {
  /** Letters, digits and underscores, with the unit last: `mycelium_queue_messages`. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  /** One value, or one for each value of one label. */
  readonly read: () => number | { readonly label: string; readonly values: Readonly<Record<string, number>> }
}

export function exposition(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, help, type, read }) => {
      const value = read()
      const samples =
        typeof value === 'number'
          ? [`${name} ${value}`]
          : Object.entries(value.values).map(
              ([key, sample]) => `${name}{${value.label}="${escapeLabel(key)}"} ${sample}`,
            )
      return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples, ''].join('\n')
    })
    .join('')
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

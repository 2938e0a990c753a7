/** `npm run bench -- NAME [--json] [--quick]`: runs bench/NAME.bench.ts and prints its results (names and units: docs/benchmarks.md). */
import { existsSync, readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'

export interface Result {
  readonly name: string
  readonly unit: string
  readonly value: number
  readonly peer?: string
  readonly peerValue?: number
  readonly ratio?: number
}
/** What every bench file exports. `quick` must end within 45 s; progress goes to stderr through `say`. */
export type Bench = (options: {
  readonly quick: boolean
  readonly say: (line: string) => void
}) => Promise<readonly Result[]>

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const [name] = positionals
const file = new URL(`../bench/${name}.bench.ts`, import.meta.url)
if (name === undefined || !/^[a-z-]+$/.test(name) || !existsSync(file)) {
  const known = readdirSync(new URL('../bench', import.meta.url)).filter((entry) => entry.endsWith('.bench.ts'))
  console.error(
    `usage: npm run bench -- NAME [--json] [--quick]; NAME is one of: ${known.map((entry) => entry.replace('.bench.ts', '')).join(' ')}`,
  )
  process.exit(2)
}
const { bench } = (await import(file.href)) as { bench: Bench }
const results = await bench({ quick: values.quick, say: (line) => console.error(line) })
for (const result of results) {
  const ratio =
    result.ratio === undefined ? '' : `  ${result.ratio.toFixed(2)} × ${result.peer ?? 'peer'} (${result.peerValue})`
  console.error(`${result.name.padEnd(28)} ${String(result.value).padStart(14)} ${result.unit}${ratio}`)
}
if (values.json) console.log(JSON.stringify({ bench: name, results }))
process.exit(0)

/** Reads everything once: what `doctor` runs, and how a file of doubtful length is judged. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { hasCode } from '../errors.ts'
import type { Store, Table } from './store.ts'
import { tables } from './tables.ts'

const rowsPerTurn = 500

export interface RowsReport {
  readonly rows: number
  /** Rows that do not authenticate, and tables that cannot be walked to their end. */
  readonly damaged: number
  readonly damagedTables: readonly string[]
}

/** Authenticates every row, some hundreds in each turn of the event loop. */
export async function verifyRows(store: Store): Promise<RowsReport> {
  const report = { rows: 0, damaged: 0, damagedTables: [] as string[] }
  for (const table of Object.values(tables)) {
    const before = report.damaged
    let from: Uint8Array | undefined
    do {
      from = verifySome(store, table, from, report)
      await nextTurn()
    } while (from !== undefined)
    if (report.damaged > before) report.damagedTables.push(table.name)
  }
  return report
}

/** @returns where to go on; `undefined` at the end of the table */
function verifySome(
  store: Store,
  table: Table,
  from: Uint8Array | undefined,
  report: { rows: number; damaged: number },
): Uint8Array | undefined {
  return store.read((tx) => {
    let last: Uint8Array | undefined
    let count = 0
    try {
      for (const key of tx.keys(table, { ...(from === undefined ? {} : { from }), limit: rowsPerTurn })) {
        count += 1
        last = key
        report.rows += 1
        try {
          tx.get(table, key)
        } catch (error) {
          if (!hasCode(error, 'store-corrupt')) throw error
          report.damaged += 1
        }
      }
    } catch (error) {
      if (!hasCode(error, 'store-corrupt')) throw error
      report.damaged += 1
      return undefined
    }
    return count < rowsPerTurn ? undefined : Buffer.concat([last!, Uint8Array.of(0)])
  })
}

/**
 * What was administered, as JSON lines in the home: appended, synced before the answer leaves, never rewritten. Accounts
 * are named by ids that only this home can resolve, so that the file gives nobody away; `audit list` shows the names.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import * as z from 'zod'
import { limits } from './core/limits.ts'

const entrySchema = z.object({
  atMs: z.number(),
  action: z.string(),
  account: z.string().optional(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
})
export type AuditEntry = z.output<typeof entrySchema>

export interface AuditLog {
  /** On disk when this returns. */
  append(entry: AuditEntry): void
  /** Oldest first. A line that a crash cut short is left out. */
  entries(): readonly AuditEntry[]
}

export function openAuditLog(path: string): AuditLog {
  return {
    append(entry) {
      const file = openSync(path, 'a+', 0o600)
      try {
        const start = endsInMidLine(file) ? '\n' : ''
        writeSync(file, `${start}${JSON.stringify(entry)}\n`)
        fsyncSync(file)
        if (fstatSync(file).size < limits.auditFileBytesMax) return
      } finally {
        closeSync(file)
      }
      rotate(path)
    },
    entries: () =>
      [...olderFiles(path).toReversed(), path].flatMap((file) => linesOf(file).flatMap((line) => parseEntry(line))),
  }
}

/** `audit.1.jsonl` is the latest of those that are full. */
const olderFiles = (path: string): readonly string[] =>
  Array.from({ length: limits.auditFilesMax - 1 }, (_, index) => path.replace(/\.jsonl$/, `.${index + 1}.jsonl`))

function rotate(path: string): void {
  const files = [path, ...olderFiles(path)]
  rmSync(files.at(-1)!, { force: true })
  for (let index = files.length - 2; index >= 0; index -= 1) renameIfThere(files[index]!, files[index + 1]!)
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function endsInMidLine(file: number): boolean {
  const { size } = fstatSync(file)
  if (size === 0) return false
  const last = Buffer.alloc(1)
  readSync(file, last, 0, 1, size - 1)
  return last[0] !== 0x0a
}

function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return []
  }
}

function parseEntry(line: string): readonly AuditEntry[] {
  try {
    const { success, data } = entrySchema.safeParse(JSON.parse(line))
    return success ? [data] : []
  } catch {
    return []
  }
}

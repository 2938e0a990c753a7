/**
 * A copy of the database as the earlier version left it, made before a migration touches it: whoever finds that the new
 * version does not work can go back. Nothing else has the store open, so the file itself is a consistent copy.
 */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
} from 'node:fs'
import { join } from 'node:path'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import { usedBytes } from './tree-file.ts'

const folderName = 'before-upgrade'
const copyName = /^schema-(\d{1,10})\.mdb$/

export interface UpgradeCopyOptions {
  /** Of the store. */
  readonly directory: string
  /** Schema that the copy has. */
  readonly version: number
  /** Of the disk, octets. */
  readonly freeBytes?: number
}

/**
 * Durable when it returns. Takes the place of an earlier copy of the same schema: a migration that was cut off has left a
 * whole version, so what is there now is as good and newer. @throws `disk-full` when the copy does not fit
 */
export function keepUpgradeCopy({ directory, version, freeBytes = freeBytesOf(directory) }: UpgradeCopyOptions): void {
  const folder = join(directory, folderName)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const copy = join(folder, `schema-${version}.mdb`)
  const neededBytes = usedBytes(directory) + limits.storeDiskReserveBytes
  if (freeBytes < neededBytes) throw new MyceliumError('disk-full', { what: 'upgrade-copy', neededBytes })
  const draft = `${copy}.part`
  copyFileSync(join(directory, 'data.mdb'), draft, constants.COPYFILE_FICLONE)
  chmodSync(draft, 0o600)
  sync(draft)
  renameSync(draft, copy)
  sync(folder)
  removeOlder(folder)
}

function freeBytesOf(directory: string): number {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function removeOlder(folder: string): void {
  const versions = readdirSync(folder)
    .flatMap((name) => copyName.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => b - a)
  for (const version of versions.slice(limits.upgradeCopiesMax)) rmSync(join(folder, `schema-${version}.mdb`))
}

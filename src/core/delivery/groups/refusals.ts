import type { Log } from '../../ambient.ts'
import { MyceliumError } from '../../errors.ts'
import { short } from '../../ids.ts'
import type { Delivery } from './statements.ts'

/** What makes no sense is no other's affair: one statement is refused, and those beside it are taken. */
export function unlessRefused(log: Log, { from, id }: Pick<Delivery, 'from' | 'id'>, take: () => void): void {
  try {
    take()
  } catch (error) {
    if (!(error instanceof MyceliumError) || error.code === 'store-corrupt' || error.code === 'disk-full') throw error
    log.info('group.refused', { group: short(id), from: short(from), code: error.code })
  }
}

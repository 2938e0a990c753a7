/** The one place that chooses the implementation of the primitives: native where it loads, portable elsewhere. */
import { createRequire } from 'node:module'
import { loadNative } from './native.ts'
import type { portable } from './portable.ts'
import type { Primitives } from './primitives.ts'

/** Loaded on demand: a machine with the native module never pays for parsing the portable one. */
const loadPortable = (): Primitives =>
  (createRequire(import.meta.url)('./portable.ts') as { readonly portable: typeof portable }).portable

/** The implementation in use; a live binding. */
export let sodium: Primitives = loadNative() ?? loadPortable()

/**
 * Forces an implementation for the whole process: for tests and benchmarks, which compare the two.
 * @throws `TypeError` when the native one does not load here
 */
export function useImplementation(name: Primitives['name']): void {
  const chosen = name === 'native' ? loadNative() : loadPortable()
  if (chosen === undefined) throw new TypeError('the native implementation does not load on this machine')
  sodium = chosen
}

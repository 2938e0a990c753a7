/** A certificate of the office's own authority, from files: read again when they change, and kept when the new ones are wrong. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { Ambient } from '../core/ambient.ts'
import { MyceliumError } from '../core/errors.ts'

export interface CertificateFiles extends Disposable {
  /** What the listeners present now; cheap, for each handshake. */
  readonly material: () => { readonly key: string; readonly cert: string }
  readonly notAfterMs: () => number
  /** Reads both files now. @returns whether what they hold is presented from now on */
  reload(): boolean
}

interface Loaded {
  readonly key: string
  readonly cert: string
  readonly notAfterMs: number
}

const lookEveryMs = 10_000
const fileBytesMax = 1024 * 1024

/** @throws `certificate-invalid` with the file, when there is nothing good to begin with */
export function openCertificateFiles(
  paths: { readonly cert: string; readonly key: string },
  { log }: Pick<Ambient, 'log'>,
): CertificateFiles {
  let state = stateOf(paths)
  let loaded = load(paths)
  const reload = (): boolean => {
    state = stateOf(paths)
    try {
      loaded = load(paths)
      log.info('certificates.reloaded')
      return true
    } catch (error) {
      const reason = error instanceof MyceliumError ? String(error.details['reason']) : 'unexpected'
      log.error('certificates.not-reloaded', { reason })
      return false
    }
  }
  // By looking and not by notification: whoever renews certificates changes links, and mounts of other machines tell nothing.
  const timer = setInterval(() => {
    if (stateOf(paths) !== state) reload()
  }, lookEveryMs)
  timer.unref()
  return {
    material: () => loaded,
    notAfterMs: () => loaded.notAfterMs,
    reload,
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

/** Differs when a file is written or replaced; a missing file is a state too. */
function stateOf({ cert, key }: { readonly cert: string; readonly key: string }): string {
  return [cert, key]
    .map((path) => {
      const found = statSync(path, { throwIfNoEntry: false })
      return found === undefined ? '-' : `${found.ino} ${found.size} ${found.mtimeMs}`
    })
    .join(',')
}

function load(paths: { readonly cert: string; readonly key: string }): Loaded {
  const [cert, key] = [read(paths.cert), read(paths.key)]
  const certificate = attempt(paths.cert, 'not a certificate', () => new X509Certificate(cert))
  const privateKey = attempt(paths.key, 'not a private key without passphrase', () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey)) throw invalid(paths.key, 'the key of another certificate')
  return { cert, key, notAfterMs: certificate.validToDate.getTime() }
}

function read(path: string): string {
  return attempt(path, 'cannot be read', () => {
    if (statSync(path).size > fileBytesMax) throw new RangeError('too large')
    return readFileSync(path, 'utf8')
  })
}

function attempt<T>(path: string, reason: string, use: () => T): T {
  try {
    return use()
  } catch (error) {
    throw invalid(path, reason, error)
  }
}

const invalid = (file: string, reason: string, cause?: unknown): MyceliumError =>
  new MyceliumError('certificate-invalid', { file, reason }, { cause })

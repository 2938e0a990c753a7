import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { changePassphrase, createVault, openVault, vaultKind } from '../../../src/core/crypto/vault.ts'
import type { Secret } from '../../../src/core/crypto/secret.ts'
import { MyceliumError } from '../../../src/core/errors.ts'

const random = systemRandom
const hexOf = (secret: Secret): string => secret.read(toHex)
let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mycelium-vault-'))
  path = join(directory, 'key')
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('the home key', () => {
  test('in an owner-only file opens without a passphrase', async () => {
    const made = await createVault(path, { passphrase: undefined, random })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await vaultKind(path)).toBe('key-file')
    expect(hexOf(await openVault(path, undefined))).toBe(hexOf(made))
    expect(readdirSync(directory)).toEqual(['key'])
  })

  test('under a passphrase opens with that one only, and is not in the file', async () => {
    const made = await createVault(path, { passphrase: 'correct horse', random })
    expect(await vaultKind(path)).toBe('passphrase')
    expect(hexOf(await openVault(path, 'correct horse'))).toBe(hexOf(made))
    await expect(openVault(path, 'wrong horse')).rejects.toMatchObject({ code: 'wrong-credentials' })
    await expect(openVault(path, undefined)).rejects.toMatchObject({ code: 'key-store-locked' })
    const file = readFileSync(path, 'utf8')
    expect(file).not.toContain(Buffer.from(hexOf(made), 'hex').toString('base64'))
    expect(JSON.parse(file)).toMatchObject({ version: 1, kdf: 'argon2id', memoryBytes: 64 * 1024 * 1024, passes: 3 })
  })

  test('does not stop the event loop while a passphrase is worked on', async () => {
    let ticks = 0
    const timer = setInterval(() => (ticks += 1), 5)
    await createVault(path, { passphrase: 'correct horse', random })
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(3)
  })

  test('stays the same when the passphrase is changed, set or taken away', async () => {
    const key = hexOf(await createVault(path, { passphrase: undefined, random }))
    await changePassphrase(path, { current: undefined, next: 'one', random })
    await expect(openVault(path, undefined)).rejects.toMatchObject({ code: 'key-store-locked' })
    await expect(changePassphrase(path, { current: 'zero', next: 'two', random })).rejects.toMatchObject({
      code: 'wrong-credentials',
    })
    await changePassphrase(path, { current: 'one', next: 'two', random })
    expect(hexOf(await openVault(path, 'two'))).toBe(key)
    await changePassphrase(path, { current: 'two', next: undefined, random })
    expect(hexOf(await openVault(path, undefined))).toBe(key)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['key'])
  })

  test('is one whichever way a keyboard composes the passphrase', async () => {
    const made = await createVault(path, { passphrase: 'café', random })
    expect(hexOf(await openVault(path, 'cafe\u0301'))).toBe(hexOf(made))
  })

  test('is refused when others may read the file, or when there is none', async () => {
    await expect(openVault(path, undefined)).rejects.toMatchObject({ code: 'not-initialised' })
    await createVault(path, { passphrase: undefined, random })
    for (const mode of [0o644, 0o640, 0o604, 0o660]) {
      chmodSync(path, mode)
      await expect(openVault(path, undefined)).rejects.toMatchObject({
        code: 'key-file-exposed',
        details: { mode: mode.toString(8) },
      })
    }
    chmodSync(path, 0o600)
    await expect(openVault(path, undefined)).resolves.toBeDefined()
  })

  test('is never overwritten by another', async () => {
    const made = await createVault(path, { passphrase: undefined, random })
    await expect(createVault(path, { passphrase: undefined, random })).rejects.toMatchObject({ code: 'home-invalid' })
    expect(hexOf(await openVault(path, undefined))).toBe(hexOf(made))
  })

  test('in a damaged file, or one of a later version, is refused by name and cheaply', async () => {
    await createVault(path, { passphrase: 'p', random })
    const good = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    const damaged = [
      { ...good, version: 2 },
      { ...good, kdf: 'none' },
      { ...good, memoryBytes: 2 ** 40 },
      { ...good, passes: 1e9 },
      { ...good, passes: 0 },
      { ...good, salt: 'AAAA' },
      { ...good, sealed: '!' },
      { version: 1, kind: 'key-file', key: 'AAAA' },
      null,
      [],
    ]
    for (const value of damaged) {
      writeFileSync(path, JSON.stringify(value))
      await expect(openVault(path, 'p')).rejects.toMatchObject({ code: 'home-invalid' })
    }
    writeFileSync(path, 'x'.repeat(5000))
    await expect(openVault(path, 'p')).rejects.toMatchObject({ code: 'home-invalid' })
    // weaker parameters than it was sealed with do not open it
    writeFileSync(path, JSON.stringify({ ...good, passes: 1 }))
    await expect(openVault(path, 'p')).rejects.toMatchObject({ code: 'wrong-credentials' })
  })

  test('from garbage is always a named refusal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (garbage) => {
        writeFileSync(path, garbage, { mode: 0o600 })
        const refused = await openVault(path, undefined).then(
          () => undefined,
          (error: unknown) => error,
        )
        expect(refused).toBeInstanceOf(MyceliumError)
      }),
      { numRuns: 100 },
    )
  })
})

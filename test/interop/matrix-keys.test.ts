/** Two programs of one person made with matrix-js-sdk and its Rust cryptography: they verify each other, and share a backup of keys. */
import type { MatrixClient } from 'matrix-js-sdk'
import {
  type CryptoApi,
  CryptoEvent,
  type VerificationRequest,
  VerificationRequestEvent,
  VerificationPhase,
  type Verifier,
  VerifierEvent,
} from 'matrix-js-sdk/lib/crypto-api/index.js'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { homeserver } from './support/homeserver.ts'
import { MatrixProgram } from './support/matrix-program.ts'

const cryptoOf = (client: MatrixClient): CryptoApi => client.getCrypto()!
const unpadded = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

/** Not any 32 octets are an Ed25519 key, and programs look. */
function verifyKey(): Buffer {
  const { publicKey } = generateKeyPairSync('ed25519')
  return Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url')
}

/** A session as programs export it (Client-Server API, "Key exports"): version, index, ratchet and public key. */
function exportedSession(room: string) {
  const own = verifyKey()
  return {
    algorithm: 'm.megolm.v1.aes-sha2',
    room_id: room,
    sender_key: unpadded(randomBytes(32)),
    sender_claimed_keys: { ed25519: unpadded(verifyKey()) },
    forwarding_curve25519_key_chain: [],
    session_id: unpadded(own),
    session_key: unpadded(Buffer.concat([Buffer.from([1, 0, 0, 0, 0]), randomBytes(128), own])),
  }
}

/** What both see is the same: both say so. */
async function agree(verifier: Verifier, seen: (emoji: unknown) => void): Promise<void> {
  verifier.on(VerifierEvent.ShowSas, (shown) => {
    seen(shown.sas.emoji)
    void shown.confirm()
  })
  await verifier.verify()
}

async function inPhase(request: VerificationRequest, phase: VerificationPhase): Promise<void> {
  if (request.phase >= phase) return
  await new Promise<void>((resolve) => {
    request.on(VerificationRequestEvent.Change, () => {
      if (request.phase >= phase) resolve()
    })
  })
}

test('two programs of one person verify each other, and what one has backed up the other restores', async () => {
  await using server = await homeserver()
  await using desk = await MatrixProgram.logIn(server.alice, 'encrypted sync')
  const [one, user] = [cryptoOf(desk.client), desk.client.getUserId()!]
  await one.bootstrapCrossSigning({
    setupNewCrossSigning: true,
    authUploadDeviceSigningKeys: async (upload) => {
      await upload(null)
    },
  })
  const sessions = Array.from({ length: 250 }, (_, at) => exportedSession(`!r${at % 3}:elsewhere.example`))
  await one.importRoomKeys(sessions)
  const backedUp = new Promise<void>((resolve) => {
    desk.client.on(CryptoEvent.KeyBackupSessionsRemaining, (left) => {
      if (left === 0) resolve()
    })
  })
  await one.resetKeyBackup()
  await backedUp

  await using phone = await MatrixProgram.logIn(server.alice, 'encrypted sync')
  const other = cryptoOf(phone.client)
  expect((await other.getKeyBackupInfo())?.count).toBe(250)
  const asked = new Promise<VerificationRequest>((resolve) => {
    desk.client.once(CryptoEvent.VerificationRequestReceived, resolve)
  })
  await other.getUserDeviceInfo([user], true)
  const request = await other.requestOwnUserVerification()
  const received = await asked
  await received.accept()
  await inPhase(request, VerificationPhase.Ready)
  const shown: unknown[] = []
  const started = await request.startVerification('m.sas.v1')
  const first = agree(started, (emoji) => shown.push(emoji))
  await inPhase(received, VerificationPhase.Started)
  const second = agree(received.verifier!, (emoji) => shown.push(emoji))
  await Promise.all([first, second])
  expect(shown).toHaveLength(2)
  expect(shown[0]).toEqual(shown[1])

  // the phone is signed now, has the private keys by messages between the devices, and so the key of the backup
  const deviceId = phone.client.getDeviceId()!
  await expect
    .poll(async () => (await one.getDeviceVerificationStatus(user, deviceId))?.signedByOwner, { timeout: 30_000 })
    .toBe(true)
  await expect.poll(async () => await other.getSessionBackupPrivateKey(), { timeout: 30_000 }).not.toBeNull()
  expect((await other.checkKeyBackupAndEnable())?.trustInfo).toEqual({ trusted: true, matchesDecryptionKey: true })
  expect(await other.restoreKeyBackup()).toMatchObject({ total: 250, imported: 250 })
  const restored = (await other.exportRoomKeys()).map(({ session_key: key }) => key)
  expect(new Set(restored)).toEqual(new Set(sessions.map(({ session_key: key }) => key)))
}, 180_000)

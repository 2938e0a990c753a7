/** Every verb of the command line over an opened home: running (gateway.ts adds the live parts) or stopped. */
import { openAuditLog } from './audit-log.ts'
import type { Operations } from './core/control.ts'
import type { NewAccount } from './core/control-views.ts'
import { systemClock, systemRandom, type Ambient } from './core/ambient.ts'
import { createVault, openVault } from './core/crypto/vault.ts'
import { localNameFrom } from './core/account/local-name.ts'
import { current } from './certificates/certificates.ts'
import { sealedCertificates } from './certificates/sealed-certificates.ts'
import { openKnowledge } from './node.ts'
import type { CreateHomeOptions, OpenOptions } from './opening.ts'
import { accountOperations, createAccount } from './operations/accounts.ts'
import { administrationOperations } from './operations/administration.ts'
import { audited } from './operations/audited.ts'
import { backupOperations } from './operations/backup.ts'
import { chatOperations } from './operations/chats.ts'
import { contactOperations } from './operations/contacts.ts'
import type { OperationParts } from './operations/context.ts'
import { fileOperations } from './operations/files.ts'
import { groupOperations } from './operations/groups.ts'
import { deviceOperations } from './operations/devices.ts'
import { mailOperations } from './operations/mail.ts'
import { queueOperations } from './operations/queue.ts'
import { relayHostOperations } from './operations/relay-host.ts'
import { relayOperations } from './operations/relays.ts'
import { statusOperations } from './operations/status.ts'
import { renewIfRestored } from './restored.ts'
import type { Log } from './core/ambient.ts'

export const systemAmbient = (log: Log): Ambient => ({ clock: systemClock, random: systemRandom, log })

export function operationsOver(parts: OperationParts): Operations {
  const operations = {
    ...accountOperations(parts),
    ...administrationOperations(parts),
    ...contactOperations(parts),
    ...backupOperations(parts),
    ...chatOperations(parts),
    ...fileOperations(parts),
    ...groupOperations(parts),
    ...deviceOperations(parts),
    ...mailOperations(parts),
    ...queueOperations(parts),
    ...relayOperations(parts),
    ...relayHostOperations(parts),
    ...statusOperations(parts),
  }
  return audited(operations, parts)
}

/** Keys, store and the first account of a new home. */
export async function createHome({
  paths,
  passphrase,
  log,
  loginName,
  address,
  displayName,
}: CreateHomeOptions): Promise<NewAccount> {
  const ambient = systemAmbient(log)
  using key = await createVault(paths.key, { passphrase, random: ambient.random })
  await using knowledge = await openKnowledge({ paths, key }, ambient)
  const localName = address === undefined ? localNameFrom(loginName) : undefined
  return await createAccount(knowledge, ambient, { address, displayName, localName })
}

/** Keys and store of a home that takes an account on from another device. */
export async function createEmptyHome({
  paths,
  passphrase,
  log,
}: Pick<CreateHomeOptions, 'paths' | 'passphrase' | 'log'>): Promise<void> {
  const ambient = systemAmbient(log)
  using key = await createVault(paths.key, { passphrase, random: ambient.random })
  await using _ = await openKnowledge({ paths, key }, ambient)
}

/** The same operations on a stopped home; what needs a network says `not-running`. */
export async function openStopped({
  paths,
  marker,
  passphrase,
  version,
  log,
}: OpenOptions): Promise<Operations & AsyncDisposable> {
  const ambient = systemAmbient(log)
  await using scope = new AsyncDisposableStack()
  const key = scope.use(await openVault(paths.key, passphrase))
  const knowledge = scope.use(await openKnowledge({ paths, key }, ambient))
  await renewIfRestored(paths, knowledge, ambient)
  const certificates = () => current(sealedCertificates(knowledge.store), [], ambient)
  const audit = openAuditLog(paths.audit)
  const operations = operationsOver({
    knowledge,
    paths,
    marker,
    version,
    ambient,
    audit,
    certificates,
    live: undefined,
  })
  const owned = scope.move()
  return { ...operations, [Symbol.asyncDispose]: async () => await owned.disposeAsync() }
}

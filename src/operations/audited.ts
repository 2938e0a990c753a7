/**
 * Writes what was administered into the audit log, before the answer leaves. What failed changed nothing and is not noted,
 * streams apart: what has gone through them by then has left, or has come in.
 */
import { fromUtf8, toHex } from '../core/bytes.ts'
import {
  type OperationContext,
  operationParams,
  type Operations,
  type Params,
  type Results,
  type Verb,
} from '../core/control.ts'
import { type AuditEntryView } from '../core/control-views.ts'
import { short } from '../core/ids.ts'
import type { Store } from '../core/store/store.ts'
import { accountOf, type OperationParts } from './context.ts'

type Details = AuditEntryView['details']

interface Noted<V extends Verb> {
  readonly action: string
  /** Numbers, ids and choices: never an address, a name or a secret. */
  readonly details?: (params: Params<V>, result: Results[V], idOf: (identity: string) => string) => Details
  readonly isStream?: true
}

const noted: { readonly [V in Verb]?: Noted<V> } = {
  stop: { action: 'gateway.stopped' },
  accountAdd: { action: 'account.added' },
  accountRemove: { action: 'account.removed' },
  accountDisable: { action: 'account.disabled', details: ({ disabled }) => ({ disabled }) },
  accountQuota: { action: 'account.quota', details: ({ quota }) => ({ quota }) },
  accountHandOver: { action: 'account.handed-over', details: (_, { revoked }) => ({ passwordsRevoked: revoked }) },
  passwordAdd: { action: 'password.added', details: (_, { id }) => ({ password: id }) },
  passwordRevoke: { action: 'password.revoked', details: (_, { id }) => ({ password: id }) },
  mailImport: { action: 'mail.imported', details: (_, { added }) => ({ added }), isStream: true },
  mailExport: { action: 'mail.exported', details: (_, { messages }) => ({ messages }), isStream: true },
  backupRead: { action: 'backup.read', isStream: true },
  recoveryShow: { action: 'recovery.shown' },
  recoveryConfirm: { action: 'recovery.confirmed' },
  deviceLinkEnd: { action: 'device.linked', details: (_, { id }) => ({ device: short(id) }) },
  deviceJoinEnd: { action: 'device.joined' },
  deviceRevoke: { action: 'device.revoked', details: (_, { id }) => ({ device: short(id) }) },
  relayUse: { action: 'relay.used' },
  relayDrop: { action: 'relay.dropped' },
  trustExport: { action: 'trust.exported' },
  relayGrant: { action: 'relay.granted' },
  contactVerify: { action: 'contact.verified', details: (_, { identity }, idOf) => ({ contact: idOf(identity) }) },
  contactConfirmEnd: {
    action: 'contact.confirmed',
    details: (_, { contact, state }, idOf) => ({ contact: idOf(contact.identity), state }),
  },
}

/** How the audit log names an account or contact: a keyed hash, the same for the life of this home. */
export const auditIdOf = (store: Store, identity: string): string =>
  store.read((tx) => toHex(tx.opaque(fromUtf8('audit'), Buffer.from(identity, 'hex'))))

export function audited(operations: Operations, parts: OperationParts): Operations {
  const wrapped = Object.entries(noted).map(([verb, one]) => [
    verb,
    withNote(parts, verb as Verb, operations[verb as Verb] as Operation, one as Noted<Verb>),
  ])
  return { ...operations, ...Object.fromEntries(wrapped) }
}

type Operation = (params: Params<Verb>, context: OperationContext) => Promise<Results[Verb]>

function withNote(
  parts: OperationParts,
  verb: Verb,
  run: Operation,
  { action, details, isStream }: Noted<Verb>,
): Operation {
  const idOf = (identity: string): string => auditIdOf(parts.knowledge.store, identity)
  const isAboutAccount = 'account' in operationParams[verb].shape
  return async (params, context) => {
    // before it runs: afterwards a removed account has no id any more
    const named = isAboutAccount
      ? accountOf(parts, 'account' in params ? params.account : undefined).identity
      : undefined
    const note = (account: string | undefined, details: Details): void =>
      parts.audit.append({
        atMs: parts.ambient.clock.nowMs(),
        action,
        ...(account === undefined ? {} : { account: idOf(account) }),
        details,
      })
    let result: Results[Verb]
    try {
      result = await run(params, context)
    } catch (error) {
      if (isStream === true) note(named, { brokenOff: true })
      throw error
    }
    const account = named ?? (verb === 'accountAdd' ? (result as Results['accountAdd']).identity : undefined)
    note(account, details?.(params, result, idOf) ?? {})
    return result
  }
}

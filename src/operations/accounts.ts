/** Accounts, app passwords and recovery words. */
import type { OwnAccount } from '../core/account/own-account.ts'
import type { Operations } from '../core/control.ts'
import type { AccountView, NewAccount } from '../core/control-views.ts'
import type { Ambient } from '../core/ambient.ts'
import { requestsMailbox } from '../core/delivery/deliver.ts'
import { forgetAccount } from '../core/delivery/forget-account.ts'
import { MyceliumError } from '../core/errors.ts'
import type { Identity } from '../core/ids.ts'
import { createAccountMailboxes } from '../core/mailbox/first-mailboxes.ts'
import { localPartOf, parseAddress } from '../core/message/address.ts'
import type { Knowledge } from '../node.ts'
import { accountOf, type OperationParts } from './context.ts'

export function viewAccount({ mailboxes, quotas, fileUse }: Knowledge, account: OwnAccount): AccountView {
  const { localName, addresses, displayName, identity, fingerprint, disabled, recoveryConfirmed } = account
  const bytesMax = quotas.bytesMax(identity)
  return {
    localName,
    addresses,
    displayName,
    identity,
    fingerprint,
    disabled,
    recoveryConfirmed,
    usedBytes: mailboxes.usedBytes(identity) + fileUse.bytes(identity),
    fileBytes: fileUse.bytes(identity),
    quotaBytes: bytesMax === Infinity ? undefined : bytesMax,
    quotaIsOwn: quotas.isOwn(identity),
  }
}

export interface NewAccountOptions {
  readonly localName: string | undefined
  readonly address: string | undefined
  readonly displayName: string | undefined
}

/** The account with its mailboxes and first app password. @throws `address-taken`, `invalid-address` */
export async function createAccount(
  { accounts, store, logins, mailboxes }: Knowledge,
  ambient: Ambient,
  { localName, address, displayName }: NewAccountOptions,
): Promise<NewAccount> {
  const request = {
    ...(localName === undefined ? {} : { localName }),
    ...(address === undefined ? {} : { address }),
    ...(displayName === undefined ? {} : { displayName }),
    keepWords: true,
  }
  const created = await accounts.create(request)
  await store.write((tx) => createAccountMailboxes(tx, created.identity, ambient))
  await mailboxes.create(created.identity, requestsMailbox)
  await mailboxes.subscribe(created.identity, requestsMailbox, true) // mail programs show subscribed folders only
  const { password } = await logins.create(created.identity, 'first client')
  return {
    address: created.address,
    identity: created.identity,
    fingerprint: created.fingerprint,
    mnemonic: created.mnemonic,
    appPassword: password,
  }
}

async function removeAccount(
  { store, accounts, contacts, invitations, logins, mailboxes, conversations, groupBook, fileUse }: Knowledge,
  identity: Identity,
  ambient: Ambient,
): Promise<void> {
  await store.write((tx) => {
    invitations.removeAll(tx, identity)
    const people = contacts.list(identity).map((contact) => contact.identity)
    forgetAccount(tx, identity, { store, mailboxes, ambient, fileUse, contacts: people })
    conversations.removeAccount(tx, identity)
    groupBook.removeAccount(tx, identity)
    mailboxes.removeAccount(tx, identity)
  })
  await accounts.remove(identity)
  logins.forget(identity)
}

const allPositions = Array.from({ length: 24 }, (_, index) => index + 1)

/** Enough to show that somebody has them, one from each third. */
const threePositions = ({ random }: Ambient): readonly number[] =>
  Array.from(random.bytes(3), (byte, third) => third * 8 + (byte % 8) + 1)

type AccountOperations = Pick<
  Operations,
  | 'accountAdd'
  | 'accountList'
  | 'accountRemove'
  | 'accountDisable'
  | 'passwordAdd'
  | 'passwordList'
  | 'passwordRevoke'
  | 'recoveryShow'
  | 'recoveryAsk'
  | 'recoveryConfirm'
>

export function accountOperations(parts: OperationParts): AccountOperations {
  const { knowledge, ambient } = parts
  const { accounts, logins } = knowledge
  return {
    async accountAdd({ address, displayName }) {
      const parsed = parseAddress(address)
      const localName = parsed === undefined ? undefined : localPartOf(parsed)
      return await createAccount(knowledge, ambient, { address, localName, displayName })
    },
    accountList: async () => accounts.list().map((account) => viewAccount(knowledge, account)),
    async accountRemove({ account }) {
      const { identity, address } = accountOf(parts, account)
      await removeAccount(knowledge, identity, ambient)
      return { removed: address }
    },
    async accountDisable({ account, disabled }) {
      const { identity } = accountOf(parts, account)
      await accounts.setDisabled(identity, disabled)
      return viewAccount(knowledge, accounts.get(identity))
    },
    async passwordAdd({ account, name }) {
      const made = await logins.create(
        accountOf(parts, account).identity,
        name ?? `client ${new Date(ambient.clock.nowMs()).toISOString().slice(0, 19)}`,
      )
      return { id: made.id, name: made.name, password: made.password }
    },
    passwordList: async ({ account }) =>
      logins
        .list(accountOf(parts, account).identity)
        .map(({ name, createdAtMs, lastUsedMs }) => ({ name, createdAtMs, lastUsedMs })),
    async passwordRevoke({ account, name }) {
      const id = await logins.revoke(accountOf(parts, account).identity, name)
      return { revoked: name, id }
    },
    recoveryShow: async ({ account }) => ({ mnemonic: accounts.recoveryWords(accountOf(parts, account).identity) }),
    async recoveryAsk({ account }) {
      const { identity, recoveryConfirmed } = accountOf(parts, account)
      if (recoveryConfirmed) throw new MyceliumError('words-confirmed')
      return { positions: accounts.keepsWords(identity) ? threePositions(ambient) : allPositions }
    },
    async recoveryConfirm({ account, words }) {
      await accounts.confirmRecovery(accountOf(parts, account).identity, words)
      return { confirmed: true }
    },
  }
}

/** An account's devices: taking a new one in, joining as one, and cutting one off. */
import { hostname } from 'node:os'
import type { OwnAccount } from '../core/account/own-account.ts'
import { nameSibling } from '../core/account/siblings.ts'
import type { Operations } from '../core/control.ts'
import type { DeviceView } from '../core/control-views.ts'
import type { HandedOver } from '../core/delivery/linking.ts'
import { requestsMailbox } from '../core/delivery/deliver.ts'
import { MyceliumError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import type { LogDevice } from '../core/identity/account-log.ts'
import { fingerprintOf } from '../core/identity/fingerprint.ts'
import { readLocators } from '../core/identity/locators.ts'
import { readEntry } from '../core/identity/log-entry.ts'
import { limits } from '../core/limits.ts'
import { createAccountMailboxes } from '../core/mailbox/first-mailboxes.ts'
import type { Ambient } from '../core/ambient.ts'
import type { Knowledge } from '../node.ts'
import { accountOf, liveOf, type OperationParts } from './context.ts'

/** The account that another device handed over, with empty mailboxes that fill from there. */
export async function adoptAccount(
  { accounts, logins, mailboxes, replication }: Knowledge,
  ambient: Ambient,
  { entries, device, account, name, bundle, states }: HandedOver,
): Promise<{ readonly account: OwnAccount; readonly appPassword: string }> {
  const { localName, displayName } = account
  const adopted = await accounts.adopt({ entries, device, localName, displayName }, (tx, { identity }) => {
    nameSibling(tx, identity, device.id, name)
    accounts.learnSiblings(tx, identity, bundle)
    createAccountMailboxes(tx, identity, ambient)
    const writer = mailboxes.writer(tx, identity)
    writer.create(requestsMailbox)
    writer.subscribe(requestsMailbox, true)
    const from = bundle.verified.devices[0]?.device ?? device.id
    replication.joined(tx, device.id, { account: identity, device: from }, states)
  })
  const { password } = await logins.create(adopted.identity, 'first client')
  return { account: adopted, appPassword: password }
}

type DeviceOperations = Pick<
  Operations,
  | 'deviceLink'
  | 'deviceLinkDigits'
  | 'deviceLinkEnd'
  | 'deviceJoin'
  | 'deviceJoinEnd'
  | 'deviceList'
  | 'deviceRevoke'
  | 'deviceRename'
>

export function deviceOperations(parts: OperationParts): DeviceOperations {
  const { knowledge, ambient } = parts
  const { accounts } = knowledge
  const viewOf = (account: OwnAccount, device: DeviceId): DeviceView =>
    viewDevice(parts, accounts.get(account.identity), accounts.get(account.identity).state.devices.get(device)!)
  return {
    deviceLink: async ({ account }) => liveOf(parts).node.linking.offer(accountOf(parts, account).identity),
    async deviceLinkDigits({ account }, { signal, progress }) {
      progress({ step: 'waiting' })
      return await liveOf(parts).node.linking.digits(accountOf(parts, account).identity, { signal })
    },
    async deviceLinkEnd({ account: named, same }, { signal, progress }) {
      const account = accountOf(parts, named)
      if (same) progress({ step: 'waiting' })
      const device = await liveOf(parts).node.linking.end(account.identity, same, { signal })
      return viewOf(account, device)
    },
    async deviceJoin({ link, name }, { signal }) {
      const { linking } = liveOf(parts).node
      const { digits, account } = await linking.join(link, name ?? ownName(), { signal })
      const fingerprint = fingerprintOf({ identity: account.identity, generation: 0, rootKey: undefined })
      return { digits, address: account.address, fingerprint }
    },
    async deviceJoinEnd({ same }, { signal, progress }) {
      const { linking } = liveOf(parts).node
      if (same) progress({ step: 'waiting' })
      const { account, appPassword } = await adoptAccount(knowledge, ambient, await linking.joined(same, { signal }))
      linking.settled()
      return { address: account.address, identity: account.identity, localName: account.localName, appPassword }
    },
    async deviceList({ account: named }) {
      const account = accountOf(parts, named)
      return [...account.state.devices.values()]
        .toSorted((a, b) => a.addedAt - b.addedAt)
        .map((device) => viewDevice(parts, account, device))
    },
    async deviceRevoke({ account: named, device, words }) {
      const account = accountOf(parts, named)
      const found = deviceOf(parts, account, device)
      await accounts.revokeDevice(account.identity, found.id, words)
      return viewOf(account, found.id)
    },
    async deviceRename({ account: named, device, name }) {
      const account = accountOf(parts, named)
      const found = deviceOf(parts, account, device)
      await accounts.nameDevice(account.identity, found.id, name)
      return viewOf(account, found.id)
    },
  }
}

const ownName = (): string => Buffer.from(hostname()).subarray(0, limits.deviceNameOctetsMax).toString() || 'device'

/** By name, or by the beginning of its id. @throws `no-such-device`, `ambiguous` */
function deviceOf({ knowledge: { accounts } }: OperationParts, account: OwnAccount, named: string): LogDevice {
  const all = [...account.state.devices.values()]
  const byName = all.filter(
    ({ id, revokedAt }) => revokedAt === undefined && accounts.deviceName(account.identity, id) === named,
  )
  const byId = /^[\da-f]{4,64}$/.test(named) ? all.filter(({ id }) => id.startsWith(named)) : []
  const found = [...new Set([...byName, ...byId])]
  if (found.length > 1) throw new MyceliumError('ambiguous', { matches: found.length })
  if (found[0] === undefined) throw new MyceliumError('no-such-device')
  return found[0]
}

function viewDevice(
  { knowledge: { accounts }, live }: OperationParts,
  account: OwnAccount,
  { id, grants, addedAt, revokedAt }: LogDevice,
): DeviceView {
  const isThis = id === account.device.id
  const sibling = accounts.siblings(account.identity).find(({ device }) => device === id)
  const locators = sibling?.records?.locators
  const where = locators === undefined ? undefined : readLocators(locators)
  const isKnown = live !== undefined && !isThis && revokedAt === undefined
  return {
    id,
    name: accounts.deviceName(account.identity, id),
    isThis,
    state: revokedAt === undefined ? 'active' : 'revoked',
    addedAtMs: readEntry(account.entries[addedAt]!).atMs,
    mayLink: grants.link,
    connected: isKnown ? live.node.delivery.isConnected(account.identity, id) : undefined,
    lastSeenMs: where?.issuedAtMs,
  }
}

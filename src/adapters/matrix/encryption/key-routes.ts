/** Keys of devices and messages to single devices (Client-Server API, "End-to-End Encryption"). */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store } from '../../../core/store/store.ts'
import type { Said } from '../events/said.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Tokens } from '../login/tokens.ts'
import { derivedKey } from '../stream/event-keys.ts'
import { pageNumber } from '../events/event-routes.ts'
import type { Usage } from './cross-signing.ts'
import { allLists, listsAfter } from './device-lists.ts'
import { claim, upload, uploadSchema } from './device-keys.ts'
import type { Encryption, EncryptionParts } from './encryption.ts'
import { crossSigningSeen, withSignatures } from './signatures.ts'
import type { Signed } from './signed-json.ts'
import { send } from './to-device.ts'

export interface KeyParts extends EncryptionParts {
  readonly store: Store
  readonly tokens: Tokens
  readonly said: Said
  readonly encryption: Encryption
}

const id = z.string().max(limits.matrixIdOctetsMax)
const query = z.looseObject({ device_keys: z.record(id, z.array(id).max(limits.matrixDevicesMax)) })
const claims = z.looseObject({ one_time_keys: z.record(id, z.record(id, id)) })
const messages = z.looseObject({ messages: z.record(id, z.record(id, z.record(z.string(), z.unknown()))) })

export function keyRoutes(api: Api, parts: KeyParts): void {
  const { store, kept, names, encryption, stream, services, tokens } = parts
  api.withBody('POST', '/keys/upload', uploadSchema, async ({ caller }, body) => {
    const { account, device } = caller
    const { counts } = await store.write((tx) => {
      if (!tokens.has(tx, account, device)) throw new MatrixError('M_UNKNOWN_TOKEN', 'This device was logged out')
      const uploaded = upload(kept, tx, { account, device, user: names.own(account) }, body)
      if (uploaded.isChanged) encryption.changed(tx, account)
      return uploaded
    })
    return { one_time_key_counts: counts }
  })
  api.withBody('POST', '/keys/query', query, ({ caller }, body) =>
    store.read((tx) => queried(parts, tx, caller.account, body.device_keys)),
  )
  api.withBody('POST', '/keys/claim', claims, async ({ caller }, body) => {
    const keys = await store.write((tx) => {
      const found: Record<string, Record<string, Json>> = {}
      for (const [user, devices] of Object.entries(body.one_time_keys))
        for (const [device, algorithm] of Object.entries(devices)) {
          const who = names.identity(caller.account, user)
          const key =
            who !== undefined && services.accounts.has(who)
              ? claim(kept, tx, { account: who, device }, algorithm)
              : undefined
          if (key !== undefined) found[user] = { ...found[user], [device]: key }
        }
      return found
    })
    return { one_time_keys: keys, failures: {} }
  })
  api.on('GET', '/keys/changes', ({ caller, query: asked }) => {
    const span = [asked.get('from'), asked.get('to')]
    if (span.includes(null)) throw new MatrixError('M_MISSING_PARAM', 'Say from which token, and to which')
    const [from, to] = span.map((token) => pageNumber(token!)) as [number, number]
    return store.read((tx) => {
      const { account } = caller
      const { last } = stream.progress(tx, account)
      if (from > last + 1 || last - from > limits.matrixSyncEntriesMax) return allLists(parts, tx, account)
      return (
        listsAfter(parts, tx, account, stream.entries(tx, account, { from, to: Math.max(from, to) })) ?? {
          changed: [],
          left: [],
        }
      )
    })
  })
  api.withBody(
    'PUT',
    '/sendToDevice/:type/:txn',
    messages,
    async (asked, body) => await sendToDevice(parts, asked, body),
  )
}

function queried(
  { kept, names, services, tokens }: KeyParts,
  tx: ReadTx,
  account: Identity,
  wanted: Readonly<Record<string, readonly string[]>>,
): Json {
  const devices: Record<string, Json> = {}
  const seen: Record<Usage, Record<string, Json>> = { master_key: {}, self_signing_key: {}, user_signing_key: {} }
  for (const [user, only] of Object.entries(wanted)) {
    const who = names.identity(account, user)
    // known, and known to have none: a program that is not told so asks again and again
    if (who !== undefined) devices[user] = {}
    if (who === undefined || !services.accounts.has(who)) continue
    // what somebody calls their devices is their own affair
    const called = new Map(who === account ? tokens.devicesIn(tx, who).map((one) => [one.id, one.name] as const) : [])
    const found = kept.list<Signed>(tx, who, 'deviceKeys').flatMap(({ names: [device = ''], value }) => {
      if (only.length > 0 && !only.includes(device)) return []
      const name = called.get(device)
      const keys = withSignatures(kept, tx, { owner: who, name: device, by: [who] }, value)
      return [[device, name === undefined ? keys : { ...keys, unsigned: { device_display_name: name } }] as const]
    })
    devices[user] = Object.fromEntries(found)
    for (const [usage, key] of crossSigningSeen(kept, tx, who, account)) seen[usage][user] = key
  }
  return {
    device_keys: devices,
    failures: {},
    master_keys: seen.master_key,
    self_signing_keys: seen.self_signing_key,
    user_signing_keys: seen.user_signing_key,
  }
}

/** To devices of accounts here, unless their person has blocked the sender; contacts elsewhere have none. */
async function sendToDevice(parts: KeyParts, { caller, path }: Asked, body: z.infer<typeof messages>): Promise<Json> {
  const { store, names, services, tokens, stream, said } = parts
  const { account, device: own } = caller
  const [type, transaction] = [path['type']!, path['txn']!]
  if (Math.max(Buffer.byteLength(type), Buffer.byteLength(transaction)) > limits.matrixIdOctetsMax)
    throw new MatrixError('M_TOO_LARGE', `Types and transaction ids have ${limits.matrixIdOctetsMax} octets at most`)
  const sender = names.own(account)
  await store.write((tx) => {
    if (said.before(tx, caller, `to-device ${type}`, transaction) !== undefined) return
    const key = derivedKey('to-device', own, type, transaction)
    said.remember(tx, caller, `to-device ${type}`, transaction, key)
    for (const [user, devices] of Object.entries(body.messages)) {
      const who = names.identity(account, user)
      if (who === undefined || !services.accounts.has(who)) continue
      if (services.contacts.byIdentity(who, account)?.blocked === true) continue
      for (const [name, content] of Object.entries(devices)) {
        const to = name === '*' ? tokens.devicesIn(tx, who).map(({ id: device }) => device) : [name]
        for (const device of to)
          if (tokens.has(tx, who, device)) send(stream, tx, { account: who, device }, { type, sender, content })
      }
    }
  })
  return {}
}

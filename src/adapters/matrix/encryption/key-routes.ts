/** Keys of devices and messages to single devices (Client-Server API, "End-to-End Encryption"). */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store } from '../../../core/store/store.ts'
import type { Said } from '../events/said.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Again } from '../login/again.ts'
import type { Tokens } from '../login/tokens.ts'
import { derivedKey } from '../stream/event-keys.ts'
import { pageNumber } from '../events/event-routes.ts'
import { crossSigningSchema, keyOf, putSignatures, signed, type Usage, usages } from './cross-signing.ts'
import { allLists, listsAfter } from './device-lists.ts'
import { claim, upload, uploadSchema } from './device-keys.ts'
import type { Encryption, EncryptionParts } from './encryption.ts'
import { send } from './to-device.ts'

export interface KeyParts extends EncryptionParts {
  readonly store: Store
  readonly tokens: Tokens
  readonly said: Said
  readonly encryption: Encryption
  readonly again: Again
}

const id = z.string().max(limits.matrixIdOctetsMax)
const query = z.looseObject({ device_keys: z.record(id, z.array(id).max(limits.matrixDevicesMax)) })
const claims = z.looseObject({ one_time_keys: z.record(id, z.record(id, id)) })
const signatures = z.record(
  id,
  z.record(id, z.looseObject({ signatures: z.record(id, z.record(id, z.string())).optional() })),
)
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
  api.withBody('POST', '/keys/device_signing/upload', crossSigningSchema, async (asked, body) => {
    const { account } = asked.caller
    const before = store.read((tx) => usages.map((usage) => keyOf(kept, tx, account, usage)))
    const isOther = usages.some(
      (usage, at) => body[usage] !== undefined && before[at] !== undefined && !isSameKey(body[usage], before[at]),
    )
    // v1.19: the first ones come without asking again
    const { auth, ...keys } = body
    const what = `replace cross-signing keys ${JSON.stringify(keys)}`
    if (isOther) await parts.again.check(asked.caller, { what, request: asked.request }, auth)
    await store.write((tx) => {
      for (const usage of usages) {
        const key = body[usage]
        if (key === undefined) continue
        if (key.user_id !== names.own(account))
          throw new MatrixError('M_INVALID_PARAM', 'This is the key of somebody else')
        kept.put(tx, account, 'crossSigning', [usage], key)
      }
      encryption.changed(tx, account)
    })
    return {}
  })
  api.withBody('POST', '/keys/signatures/upload', signatures, async ({ caller }, body) => {
    const { account } = caller
    const failures: Record<string, Record<string, Json>> = {}
    await store.write((tx) => {
      for (const [user, objects] of Object.entries(body)) {
        const owner = names.identity(account, user)
        for (const [name, object] of Object.entries(objects)) {
          if (owner === undefined || !services.accounts.has(owner))
            failures[user] = {
              ...failures[user],
              [name]: { errcode: 'M_NOT_FOUND', error: 'Nobody here has this key' },
            }
          else if (object.signatures !== undefined)
            putSignatures(kept, tx, account, { owner, name, signatures: object.signatures })
        }
        if (owner !== undefined && services.accounts.has(owner)) encryption.changed(tx, owner)
      }
    })
    return { failures }
  })
  api.withBody(
    'PUT',
    '/sendToDevice/:type/:txn',
    messages,
    async (asked, body) => await sendToDevice(parts, asked, body),
  )
}

const isSameKey = (one: Json, other: Json): boolean => JSON.stringify(one['keys']) === JSON.stringify(other['keys'])

function queried(
  { kept, names, services, tokens }: KeyParts,
  tx: ReadTx,
  account: Identity,
  wanted: Readonly<Record<string, readonly string[]>>,
): Json {
  const devices: Record<string, Record<string, Json>> = {}
  const crossSigning: Record<Usage, Record<string, Json>> = {
    master_key: {},
    self_signing_key: {},
    user_signing_key: {},
  }
  for (const [user, only] of Object.entries(wanted)) {
    const who = names.identity(account, user)
    if (who === undefined || !services.accounts.has(who)) continue
    const by = who === account ? [who] : [who, account]
    const display = new Map(tokens.devices(who).map((one) => [one.id, one.name]))
    devices[user] = {}
    for (const {
      names: [device],
      value,
    } of kept.list<Json>(tx, who, 'deviceKeys')) {
      if (device === undefined || (only.length > 0 && !only.includes(device))) continue
      const name = display.get(device)
      const keys = signed(kept, tx, { owner: who, name: device, by }, value)
      devices[user][device] = name === undefined ? keys : { ...keys, unsigned: { device_display_name: name } }
    }
    for (const usage of usages) {
      const key = keyOf(kept, tx, who, usage)
      // whom somebody trusts is their own affair
      if (key === undefined || (usage === 'user_signing_key' && who !== account)) continue
      const [publicKey = ''] = Object.values(key['keys'] as Readonly<Record<string, string>>)
      crossSigning[usage][user] = signed(kept, tx, { owner: who, name: publicKey, by }, key)
    }
  }
  return {
    device_keys: devices,
    failures: {},
    master_keys: crossSigning.master_key,
    self_signing_keys: crossSigning.self_signing_key,
    user_signing_keys: crossSigning.user_signing_key,
  }
}

/** To devices of accounts here; contacts elsewhere have none. */
async function sendToDevice(parts: KeyParts, { caller, path }: Asked, body: z.infer<typeof messages>): Promise<Json> {
  const { store, names, services, tokens, stream, said } = parts
  const { account } = caller
  const [type, transaction] = [path['type']!, path['txn']!]
  const sender = names.own(account)
  await store.write((tx) => {
    if (said.before(tx, caller, `to-device ${type}`, transaction) !== undefined) return
    said.remember(
      tx,
      caller,
      `to-device ${type}`,
      transaction,
      derivedKey('to-device', caller.device, type, transaction),
    )
    for (const [user, devices] of Object.entries(body.messages)) {
      const who = names.identity(account, user)
      if (who === undefined || !services.accounts.has(who)) continue
      for (const [name, content] of Object.entries(devices)) {
        const all = tokens.devices(who).map((one) => one.id)
        const to = name === '*' ? all : all.filter((one) => one === name)
        for (const device of to) send(stream, tx, { account: who, device }, { type, sender, content })
      }
    }
  })
  return {}
}

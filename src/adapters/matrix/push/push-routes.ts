/** Push rules as programs read and change them, and pushers (Client-Server API, "Push Notifications"). */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { DataParts } from '../account/data-routes.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import {
  actionsSchema,
  type Changes,
  changesOf,
  type Kind,
  kinds,
  merged,
  newRuleSchema,
  ownRules,
  type PushRule,
  ruleIn,
  withChange,
  withoutRule,
  withRule,
} from './rules.ts'

export function pushRoutes(api: Api, parts: DataParts): void {
  const { store, kept, names, stream } = parts
  const rulesOf = (account: Identity) => store.read((tx) => ownRules(kept, tx, account, names.own(account)))
  const change = async ({ caller: { account } }: Asked, use: (changes: Changes) => Changes): Promise<Json> => {
    await store.write((tx) => {
      const changes = use(changesOf(kept, tx, account))
      const number = stream.append(tx, account, { kind: 'data', room: undefined, type: 'm.push_rules' })
      kept.put(tx, account, 'data', ['push', 'rules'], changes)
      // as data of the account it is told in /sync
      const content = { global: merged(changes, names.own(account)) }
      kept.put(tx, account, 'data', ['', 'm.push_rules'], content, { number })
    })
    return {}
  }
  for (const path of ['/pushrules', '/pushrules/'])
    api.on('GET', path, ({ caller }) => ({ global: rulesOf(caller.account) }))
  for (const path of ['/pushrules/global', '/pushrules/global/'])
    api.on('GET', path, ({ caller }) => ({ ...rulesOf(caller.account) }))
  const rulePath = '/pushrules/global/:kind/:rule'
  api.on('GET', rulePath, (asked) => ({ ...found(rulesOf(asked.caller.account), asked) }))
  api.withBody('PUT', rulePath, newRuleSchema, async (asked, rule) => {
    const [before, after] = [asked.query.get('before') ?? undefined, asked.query.get('after') ?? undefined]
    return await change(asked, (changes) =>
      withRule(changes, kindOf(asked), asked.path['rule']!, { rule, before, after }),
    )
  })
  api.on(
    'DELETE',
    rulePath,
    async (asked) => await change(asked, (changes) => withoutRule(changes, kindOf(asked), asked.path['rule']!)),
  )
  api.on('GET', `${rulePath}/enabled`, (asked) => ({ enabled: found(rulesOf(asked.caller.account), asked).enabled }))
  api.on('GET', `${rulePath}/actions`, (asked) => ({ actions: found(rulesOf(asked.caller.account), asked).actions }))
  const set = async (asked: Asked, what: Partial<Pick<PushRule, 'enabled' | 'actions'>>): Promise<Json> =>
    await change(asked, (changes) =>
      withChange(changes, names.own(asked.caller.account), kindOf(asked), asked.path['rule']!, what),
    )
  api.withBody(
    'PUT',
    `${rulePath}/enabled`,
    z.looseObject({ enabled: z.boolean() }),
    async (asked, { enabled }) => await set(asked, { enabled }),
  )
  api.withBody(
    'PUT',
    `${rulePath}/actions`,
    z.looseObject({ actions: actionsSchema }),
    async (asked, { actions }) => await set(asked, { actions }),
  )
  pusherRoutes(api, parts)
}

/** @throws MatrixError */
function kindOf({ path }: Asked): Kind {
  const kind = kinds.find((one) => one === path['kind'])
  if (kind === undefined) throw new MatrixError('M_INVALID_PARAM', `There are no rules of kind ${path['kind']}`)
  return kind
}

const found = (rules: ReturnType<typeof ownRules>, asked: Asked): PushRule =>
  ruleIn(rules, kindOf(asked), asked.path['rule']!)

const pusher = z.looseObject({
  app_id: z.string().max(64),
  pushkey: z.string().max(512),
  kind: z.string().max(limits.matrixIdOctetsMax).nullish(),
})

function pusherRoutes(api: Api, { store, kept }: DataParts): void {
  api.on('GET', '/pushers', ({ caller }) => ({
    pushers: store.read((tx) => kept.list<Json>(tx, caller.account, 'pusher').map(({ value }) => value)),
  }))
  api.withBody('POST', '/pushers/set', pusher, async ({ caller }, body) => {
    // a push gateway is somebody else's server, which would learn when who is written to
    if (body.kind !== null && body.kind !== undefined)
      throw new MatrixError(
        'M_FORBIDDEN',
        'The gateway tells nobody elsewhere that something has come: keep the program running',
      )
    await store.write((tx) => kept.remove(tx, caller.account, 'pusher', body.app_id, body.pushkey))
    return {}
  })
}

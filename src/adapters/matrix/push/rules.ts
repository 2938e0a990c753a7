/**
 * Push rules of an account: those that everybody has, with what a person changed of them, and their own. Only the changes
 * are kept, so that rules of a later specification come by themselves.
 */
import { z } from 'zod'
import { limits } from '../../../core/limits.ts'
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'
import { predefinedRules } from './predefined.ts'

export const kinds = ['override', 'content', 'room', 'sender', 'underride'] as const
export type Kind = (typeof kinds)[number]

const id = z.string().max(limits.matrixIdOctetsMax)
const action = z.union([id, z.looseObject({ set_tweak: id })])
export const actionsSchema = z.array(action).max(limits.matrixPushConditionsMax)
const condition = z.looseObject({ kind: id, key: id.optional(), pattern: id.optional(), is: id.optional() })
export const newRuleSchema = z.looseObject({
  actions: actionsSchema,
  conditions: z.array(condition).max(limits.matrixPushConditionsMax).optional(),
  pattern: id.optional(),
})
export type NewRule = z.infer<typeof newRuleSchema>

export interface PushRule {
  readonly rule_id: string
  readonly default: boolean
  readonly enabled: boolean
  readonly actions: readonly (string | Readonly<Record<string, unknown>>)[]
  readonly conditions?: readonly (Readonly<Record<string, unknown>> & { readonly kind: string })[]
  readonly pattern?: string
}
export type Ruleset = Readonly<Record<Kind, readonly PushRule[]>>

/** What differs from the rules that everybody has. */
export interface Changes {
  readonly own: Ruleset
  /** By kind and id. */
  readonly changed: Readonly<Record<string, Pick<PushRule, 'enabled' | 'actions'>>>
}

const nothing: Changes = { own: { override: [], content: [], room: [], sender: [], underride: [] }, changed: {} }
const nameOf = (kind: Kind, ruleId: string): string => `${kind}/${ruleId}`

export const changesOf = (kept: Kept, tx: ReadTx, account: Identity): Changes =>
  kept.get<Changes>(tx, account, 'data', 'push', 'rules')?.value ?? nothing

/** @param user the account's own user id */
export const ownRules = (kept: Kept, tx: ReadTx, account: Identity, user: string): Ruleset =>
  merged(changesOf(kept, tx, account), user)

/** One's own before those of everybody, except for the one that turns all off. */
export function merged({ own, changed }: Changes, user: string): Ruleset {
  const all = predefinedRules(user)
  const of = (kind: Kind): readonly PushRule[] => {
    const predefined = all[kind].map((rule) => ({ ...rule, ...changed[nameOf(kind, rule.rule_id)] }))
    const master = predefined.filter(({ rule_id }) => rule_id === '.m.rule.master')
    return [...master, ...own[kind], ...predefined.filter((rule) => !master.includes(rule))]
  }
  return {
    override: of('override'),
    content: of('content'),
    room: of('room'),
    sender: of('sender'),
    underride: of('underride'),
  }
}

/** @throws MatrixError `M_NOT_FOUND` */
export function ruleIn(rules: Ruleset, kind: Kind, ruleId: string): PushRule {
  const found = rules[kind].find(({ rule_id }) => rule_id === ruleId)
  if (found === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such push rule')
  return found
}

/** A rule of one's own, new or in the place of the one with its name. @throws MatrixError */
export function withRule(
  changes: Changes,
  kind: Kind,
  ruleId: string,
  {
    rule,
    before,
    after,
  }: { readonly rule: NewRule; readonly before?: string | undefined; readonly after?: string | undefined },
): Changes {
  checkName(kind, ruleId)
  if (kind === 'content' && rule.pattern === undefined)
    throw new MatrixError('M_MISSING_PARAM', 'A rule of this kind has a pattern')
  const known = changes.own[kind].find(({ rule_id }) => rule_id === ruleId)
  const made: PushRule = {
    rule_id: ruleId,
    default: false,
    enabled: known?.enabled ?? true,
    actions: rule.actions,
    ...(kind === 'override' || kind === 'underride' ? { conditions: rule.conditions ?? [] } : {}),
    ...(kind === 'content' ? { pattern: rule.pattern! } : {}),
  }
  const isMoved = before !== undefined || after !== undefined || known === undefined
  const others = changes.own[kind].filter((one) => one !== known)
  const at = isMoved ? placeAmong(others, before, after) : changes.own[kind].indexOf(known)
  const list = [...others.slice(0, at), made, ...others.slice(at)]
  if (list.length > limits.matrixPushRulesMax)
    throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'So many rules are not kept: remove some first')
  return { ...changes, own: { ...changes.own, [kind]: list } }
}

/** Client-Server API, "PUT pushrules": without a place a new rule is the first. */
function placeAmong(rules: readonly PushRule[], before: string | undefined, after: string | undefined): number {
  const name = before ?? after
  if (name === undefined) return 0
  const at = rules.findIndex(({ rule_id }) => rule_id === name)
  if (at < 0) throw new MatrixError('M_UNKNOWN', 'There is no rule of yours to be before or after')
  return before === undefined ? at + 1 : at
}

function checkName(kind: Kind, ruleId: string): void {
  if (ruleId.startsWith('.')) throw new MatrixError('M_INVALID_PARAM', 'Names with a point before them are not yours')
  if (/[/\\]/.test(ruleId)) throw new MatrixError('M_INVALID_PARAM', 'A name of a rule holds no slashes')
  if (kind === 'sender' && !/^@[^:]+:.+$/.test(ruleId))
    throw new MatrixError('M_INVALID_PARAM', 'A user id is expected')
}

/** @throws MatrixError */
export function withoutRule(changes: Changes, kind: Kind, ruleId: string): Changes {
  if (ruleId.startsWith('.')) throw new MatrixError('M_INVALID_PARAM', 'This rule can be turned off, not removed')
  const list = changes.own[kind].filter(({ rule_id }) => rule_id !== ruleId)
  if (list.length === changes.own[kind].length) throw new MatrixError('M_NOT_FOUND', 'There is no such push rule')
  return { ...changes, own: { ...changes.own, [kind]: list } }
}

/** @throws MatrixError `M_NOT_FOUND` */
export function withChange(
  changes: Changes,
  user: string,
  kind: Kind,
  ruleId: string,
  change: Partial<Pick<PushRule, 'enabled' | 'actions'>>,
): Changes {
  const { enabled, actions, default: isPredefined } = ruleIn(merged(changes, user), kind, ruleId)
  if (isPredefined)
    return { ...changes, changed: { ...changes.changed, [nameOf(kind, ruleId)]: { enabled, actions, ...change } } }
  const list = changes.own[kind].map((rule) => (rule.rule_id === ruleId ? { ...rule, ...change } : rule))
  return { ...changes, own: { ...changes.own, [kind]: list } }
}

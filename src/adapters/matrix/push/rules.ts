/** Push rules: what an account wants to be told of (Client-Server API, "Push rules"). */
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Kept } from '../kept.ts'

export interface PushRule {
  readonly rule_id: string
  readonly default: boolean
  readonly enabled: boolean
  readonly actions: readonly unknown[]
  readonly conditions?: readonly Readonly<Record<string, unknown>>[]
  readonly pattern?: string
}
export type Ruleset = Readonly<Record<'override' | 'content' | 'room' | 'sender' | 'underride', readonly PushRule[]>>

export function ownRules(kept: Kept, tx: ReadTx, account: Identity, user: string): Ruleset {
  void user
  return (
    kept.get<Ruleset>(tx, account, 'data', '', 'm.push_rules')?.value ?? {
      override: [],
      content: [],
      room: [],
      sender: [],
      underride: [{ rule_id: '.m.rule.message', default: true, enabled: true, actions: ['notify'], conditions: [] }],
    }
  )
}

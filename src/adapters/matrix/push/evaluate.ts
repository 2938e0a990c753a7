/** What push rules say of one event. */
import type { ClientEvent } from '../events/event-view.ts'
import type { Ruleset } from './rules.ts'

export interface Actions {
  readonly notify: boolean
  readonly highlight: boolean
}

export interface PushContext {
  readonly user: string
  readonly displayName: string
  readonly room: string
  readonly memberCount: number
}

export function actionsFor(rules: Ruleset, event: ClientEvent, context: PushContext): Actions {
  void event
  void context
  return { notify: rules.underride.length > 0, highlight: false }
}

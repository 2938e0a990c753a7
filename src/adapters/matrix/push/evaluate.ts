/** What push rules say of one event: the first that fits decides (Client-Server API, "Push rules"). */
import { unreachable } from '../../../core/errors.ts'
import type { ClientEvent } from '../events/event-view.ts'
import { globMatches } from './glob.ts'
import { kinds, type PushRule, type Ruleset } from './rules.ts'

export interface Actions {
  readonly notify: boolean
  readonly highlight: boolean
}

export interface PushContext {
  readonly user: string
  readonly displayName: string
  readonly room: string
  readonly memberCount: number
  /** Whether somebody's power suffices for notifications of a kind, such as `room`: everybody's attention. */
  readonly mayNotify: (sender: string, kind: string) => boolean
}

/** One's own events never call for attention: they are not asked about. */
export function ruleFor(rules: Ruleset, event: ClientEvent, context: PushContext): PushRule | undefined {
  for (const kind of kinds)
    for (const rule of rules[kind]) if (rule.enabled && fits(kind, rule, event, context)) return rule
  return undefined
}

export function actionsOf({ actions }: Pick<PushRule, 'actions'>): Actions {
  const highlight = actions.find(
    (action) => typeof action === 'object' && action['set_tweak'] === 'highlight' && action['value'] !== false,
  )
  return { notify: actions.includes('notify'), highlight: highlight !== undefined }
}

function fits(kind: (typeof kinds)[number], rule: PushRule, event: ClientEvent, context: PushContext): boolean {
  switch (kind) {
    case 'content':
      return (
        typeof event.content['body'] === 'string' && globMatches(rule.pattern ?? '', event.content['body'], 'words')
      )
    case 'room':
      return rule.rule_id === context.room
    case 'sender':
      return rule.rule_id === event.sender
    case 'override':
    case 'underride':
      return (rule.conditions ?? []).every((condition) => holds(condition, event, context))
    default:
      return unreachable(kind)
  }
}

type Condition = NonNullable<PushRule['conditions']>[number]

/** A condition of a kind that is not known never holds. */
function holds(condition: Condition, event: ClientEvent, context: PushContext): boolean {
  const value = typeof condition['key'] === 'string' ? valueAt(event, condition['key']) : undefined
  switch (condition.kind) {
    case 'event_match': {
      const { pattern } = condition
      if (typeof value !== 'string' || typeof pattern !== 'string') return false
      return globMatches(pattern, value, condition['key'] === 'content.body' ? 'words' : 'whole')
    }
    case 'event_property_is':
      return value !== undefined && (value === null || typeof value !== 'object') && value === condition['value']
    case 'event_property_contains':
      return Array.isArray(value) && value.includes(condition['value'])
    case 'contains_display_name': {
      const { body } = event.content
      return context.displayName !== '' && typeof body === 'string' && hasWords(body, context.displayName)
    }
    case 'room_member_count':
      return typeof condition['is'] === 'string' && isCount(condition['is'], context.memberCount)
    case 'sender_notification_permission':
      return typeof condition['key'] === 'string' && context.mayNotify(event.sender, condition['key'])
    default:
      return false
  }
}

/** Client-Server API, "Dot-separated property paths": `content.m\.relates_to.rel_type`. */
function valueAt(event: ClientEvent, path: string): unknown {
  const names = namesIn(path)
  let value: unknown = event
  for (const name of names) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name))
      return undefined
    value = (value as Readonly<Record<string, unknown>>)[name]
  }
  return value
}

function namesIn(path: string): readonly string[] {
  const names = ['']
  for (let at = 0; at < path.length; at += 1) {
    const isEscape = path[at] === '\\' && (path[at + 1] === '.' || path[at + 1] === '\\')
    if (path[at] === '.') names.push('')
    else {
      if (isEscape) at += 1
      names[names.length - 1] += path[at]!
    }
  }
  return names
}

function isCount(is: string, count: number): boolean {
  const found = /^(==|<=|>=|<|>)?(\d{1,9})$/.exec(is)
  if (found === null) return false
  const [, how = '==', than] = found
  return comparisons[how]!(count, Number(than))
}

const comparisons: Readonly<Record<string, (count: number, than: number) => boolean>> = {
  '==': (count, than) => count === than,
  '<': (count, than) => count < than,
  '>': (count, than) => count > than,
  '<=': (count, than) => count <= than,
  '>=': (count, than) => count >= than,
}

const isWord = (character: string | undefined): boolean => character !== undefined && /[\p{L}\p{N}_]/u.test(character)

/** The words as they are, with no letter or digit beside them. */
function hasWords(text: string, words: string): boolean {
  const [low, sought] = [text.toLowerCase(), words.toLowerCase()]
  for (let at = low.indexOf(sought); at >= 0; at = low.indexOf(sought, at + 1))
    if (!isWord(low[at - 1]) && !isWord(low[at + sought.length])) return true
  return false
}

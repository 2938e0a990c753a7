/** The rules that everybody has (Client-Server API v1.19, "Predefined Rules"), in their order. */
import type { PushRule, Ruleset } from './rules.ts'

const highlight = { set_tweak: 'highlight' }
const sound = (value: string) => ({ set_tweak: 'sound', value })
const match = (key: string, pattern: string) => ({ kind: 'event_match', key, pattern })
const ofType = (type: string) => match('type', type)
const ofTwo = { kind: 'room_member_count', is: '2' }

type Predefined = Pick<PushRule, 'rule_id' | 'actions'> & Partial<PushRule>
const rule = ({ conditions = [], enabled = true, ...more }: Predefined): PushRule => ({
  default: true,
  enabled,
  conditions,
  ...more,
})

/** @param user the account's own user id */
export const predefinedRules = (user: string): Ruleset => ({
  override: [
    rule({ rule_id: '.m.rule.master', enabled: false, actions: [] }),
    rule({ rule_id: '.m.rule.suppress_notices', conditions: [match('content.msgtype', 'm.notice')], actions: [] }),
    rule({
      rule_id: '.m.rule.invite_for_me',
      conditions: [ofType('m.room.member'), match('content.membership', 'invite'), match('state_key', user)],
      actions: ['notify', sound('default')],
    }),
    rule({ rule_id: '.m.rule.member_event', conditions: [ofType('m.room.member')], actions: [] }),
    rule({
      rule_id: '.m.rule.is_user_mention',
      conditions: [{ kind: 'event_property_contains', key: String.raw`content.m\.mentions.user_ids`, value: user }],
      actions: ['notify', sound('default'), highlight],
    }),
    rule({
      rule_id: '.m.rule.is_room_mention',
      conditions: [
        { kind: 'event_property_is', key: String.raw`content.m\.mentions.room`, value: true },
        { kind: 'sender_notification_permission', key: 'room' },
      ],
      actions: ['notify', highlight],
    }),
    rule({
      rule_id: '.m.rule.tombstone',
      conditions: [ofType('m.room.tombstone'), match('state_key', '')],
      actions: ['notify', highlight],
    }),
    rule({ rule_id: '.m.rule.reaction', conditions: [ofType('m.reaction')], actions: [] }),
    rule({
      rule_id: '.m.rule.room.server_acl',
      conditions: [ofType('m.room.server_acl'), match('state_key', '')],
      actions: [],
    }),
    rule({
      rule_id: '.m.rule.suppress_edits',
      conditions: [{ kind: 'event_property_is', key: String.raw`content.m\.relates_to.rel_type`, value: 'm.replace' }],
      actions: [],
    }),
  ],
  content: [],
  room: [],
  sender: [],
  underride: [
    rule({ rule_id: '.m.rule.call', conditions: [ofType('m.call.invite')], actions: ['notify', sound('ring')] }),
    rule({
      rule_id: '.m.rule.encrypted_room_one_to_one',
      conditions: [ofTwo, ofType('m.room.encrypted')],
      actions: ['notify', sound('default')],
    }),
    rule({
      rule_id: '.m.rule.room_one_to_one',
      conditions: [ofTwo, ofType('m.room.message')],
      actions: ['notify', sound('default')],
    }),
    rule({ rule_id: '.m.rule.message', conditions: [ofType('m.room.message')], actions: ['notify'] }),
    rule({ rule_id: '.m.rule.encrypted', conditions: [ofType('m.room.encrypted')], actions: ['notify'] }),
  ],
})

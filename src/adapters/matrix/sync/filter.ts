/** Filters (Client-Server API, "Filtering"): what of a sync, a page or a search a program wants. */
import { z } from 'zod'
import { limits } from '../../../core/limits.ts'
import type { ClientEvent } from '../events/event-view.ts'

const listOf = <T extends z.ZodType>(item: T) => z.array(item).max(1000)
const name = z.string().max(limits.matrixIdOctetsMax)
const names = listOf(name)
const users = listOf(name.regex(/^@.+:./, 'no user id'))
const rooms = listOf(name.startsWith('!', 'no room id'))
const events = z.looseObject({
  limit: z.number().optional(),
  types: names.optional(),
  not_types: names.optional(),
  senders: users.optional(),
  not_senders: users.optional(),
})
const roomEvents = events.extend({
  rooms: rooms.optional(),
  not_rooms: rooms.optional(),
  contains_url: z.boolean().optional(),
  lazy_load_members: z.boolean().optional(),
  include_redundant_members: z.boolean().optional(),
  unread_thread_notifications: z.boolean().optional(),
})
export const filterSchema = z.looseObject({
  event_fields: names.optional(),
  event_format: z.string().optional(),
  account_data: events.optional(),
  presence: events.optional(),
  room: z
    .looseObject({
      rooms: rooms.optional(),
      not_rooms: rooms.optional(),
      include_leave: z.boolean().optional(),
      account_data: roomEvents.optional(),
      ephemeral: roomEvents.optional(),
      state: roomEvents.optional(),
      timeline: roomEvents.optional(),
    })
    .optional(),
})
export type Filter = z.infer<typeof filterSchema>
export type EventFilter = z.infer<typeof roomEvents>
export const eventFilterSchema = roomEvents

/** `m.room.*` fits whatever begins so. */
const fits = (pattern: string, type: string): boolean =>
  pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type

export function isWanted(
  filter: EventFilter | undefined,
  { type, sender, content }: Pick<ClientEvent, 'type' | 'sender' | 'content'>,
): boolean {
  if (filter === undefined) return true
  const { types, not_types: notTypes, senders, not_senders: notSenders, contains_url: hasUrl } = filter
  return (
    (types === undefined || types.some((one) => fits(one, type))) &&
    notTypes?.some((one) => fits(one, type)) !== true &&
    (senders === undefined || senders.includes(sender)) &&
    notSenders?.includes(sender) !== true &&
    (hasUrl === undefined || hasUrl === (typeof content['url'] === 'string'))
  )
}

export const isRoomWanted = (filter: Pick<EventFilter, 'rooms' | 'not_rooms'> | undefined, room: string): boolean =>
  (filter?.rooms === undefined || filter.rooms.includes(room)) && filter?.not_rooms?.includes(room) !== true

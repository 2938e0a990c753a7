/**
 * What a program asks of sliding sync (MSC4186), in either of its forms: that of Element X before it was merged
 * (`org.matrix.simplified_msc3575`), and `/v4/sync`. Both become one.
 */
import { z } from 'zod'
import { limits } from '../../../../core/limits.ts'

/** A state event that is wanted; what is not said may be anything. */
export interface StatePattern {
  readonly type: string | undefined
  readonly stateKey: string | undefined
}

export interface RoomConfig {
  readonly timelineLimit: number
  readonly include: readonly StatePattern[]
  readonly exclude: readonly StatePattern[]
  readonly isLazy: boolean
}

export interface Filters {
  readonly isDirect: boolean | undefined
  readonly isInvited: boolean | undefined
  readonly isEncrypted: boolean | undefined
  readonly isInSpaces: boolean
  readonly types: readonly (string | null)[] | undefined
  readonly notTypes: readonly (string | null)[]
  readonly tags: readonly string[] | undefined
  readonly notTags: readonly string[]
  readonly nameLike: string | undefined
}

export interface List extends RoomConfig {
  /** Both ends included; none: everything. */
  readonly ranges: readonly (readonly [from: number, to: number])[] | undefined
  readonly filters: Filters
}

export interface Extensions {
  readonly toDevice: { readonly since: string | undefined } | undefined
  readonly e2ee: boolean
  readonly accountData: boolean
  readonly receipts: boolean
  readonly typing: boolean
}

export interface SlidingRequest {
  readonly connection: string
  readonly pos: string | undefined
  readonly timeoutMs: number
  readonly presence: string
  readonly lists: ReadonlyMap<string, List>
  readonly rooms: ReadonlyMap<string, RoomConfig>
  readonly extensions: Extensions
}

const id = z.string().max(limits.matrixIdOctetsMax)
const range = z.tuple([z.int().min(0), z.int().min(0)])
const filters = z.looseObject({
  is_dm: z.boolean().nullish(),
  is_invite: z.boolean().nullish(),
  is_invited: z.boolean().nullish(),
  is_encrypted: z.boolean().nullish(),
  spaces: z.array(id).max(limits.matrixListsMax).nullish(),
  room_types: z.array(id.nullable()).max(limits.matrixListsMax).nullish(),
  not_room_types: z.array(id.nullable()).max(limits.matrixListsMax).nullish(),
  room_name_like: id.nullish(),
  tags: z.array(id).max(limits.matrixListsMax).nullish(),
  not_tags: z.array(id).max(limits.matrixListsMax).nullish(),
})
const pairs = z.array(z.tuple([id, id])).max(1000)
const elements = z.array(z.looseObject({ type: id.optional(), state_key: id.optional() })).max(1000)
const required = z.union([
  pairs,
  z.looseObject({ include: elements.optional(), exclude: elements.optional(), lazy_members: z.boolean().optional() }),
])
const config = z.looseObject({ timeline_limit: z.int().min(0).optional(), required_state: required.optional() })
const extension = z.looseObject({ enabled: z.boolean().nullish(), since: z.string().max(64).nullish() })

export const slidingSchema = z.looseObject({
  conn_id: id.nullish(),
  pos: z.string().max(64).nullish(),
  timeout: z.number().nullish(),
  set_presence: z.string().nullish(),
  lists: z
    .record(
      id,
      config.extend({
        ranges: z.array(range).max(limits.matrixListsMax).optional(),
        range: range.optional(),
        filters: filters.nullish(),
      }),
    )
    .nullish(),
  room_subscriptions: z.record(id, config).nullish(),
  extensions: z.record(id, extension.nullish()).nullish(),
})
type Body = z.infer<typeof slidingSchema>

const lazyKey = '$LAZY'

/** @param query where the earlier form says where it stands. @param own the asker's user id */
export function readRequest(body: Body, query: URLSearchParams, own: string): SlidingRequest {
  const timeout = Number(body.timeout ?? query.get('timeout') ?? 0)
  const isOn = (name: string): boolean => body.extensions?.[name]?.enabled === true
  return {
    connection: body.conn_id ?? '',
    pos: body.pos ?? query.get('pos') ?? undefined,
    timeoutMs: Number.isFinite(timeout) ? Math.min(Math.max(0, timeout), limits.matrixPollMsMax) : 0,
    presence: body.set_presence ?? query.get('set_presence') ?? 'online',
    lists: new Map(
      Object.entries(body.lists ?? {}).map(([name, list]) => [
        name,
        {
          ...configOf(list, own),
          ranges: list.range === undefined ? list.ranges : [list.range],
          filters: filtersOf(list.filters ?? {}),
        },
      ]),
    ),
    rooms: new Map(
      Object.entries(body.room_subscriptions ?? {}).map(([room, wanted]) => [room, configOf(wanted, own)]),
    ),
    extensions: {
      toDevice: isOn('to_device') ? { since: body.extensions?.['to_device']?.since ?? undefined } : undefined,
      e2ee: isOn('e2ee'),
      accountData: isOn('account_data'),
      receipts: isOn('receipts'),
      typing: isOn('typing'),
    },
  }
}

function configOf(
  { timeline_limit: limit = 0, required_state: wanted = [] }: z.infer<typeof config>,
  own: string,
): RoomConfig {
  const timelineLimit = Math.min(limit, limits.matrixTimelineMax)
  if (!Array.isArray(wanted)) {
    const patterns = (list: z.infer<typeof elements> = []): readonly StatePattern[] =>
      list.map(({ type, state_key: stateKey }) => ({ type, stateKey }))
    return {
      timelineLimit,
      include: patterns(wanted.include),
      exclude: patterns(wanted.exclude),
      isLazy: wanted.lazy_members === true,
    }
  }
  const any = (text: string): string | undefined => (text === '*' ? undefined : text)
  const isLazy = wanted.some(([, key]) => key === lazyKey)
  return {
    timelineLimit,
    include: wanted
      .filter(([, key]) => key !== lazyKey)
      .map(([type, key]) => ({ type: any(type), stateKey: key === '$ME' ? own : any(key) })),
    // the earlier form: everything, and of members only those who are needed
    exclude:
      isLazy && wanted.some(([type, key]) => type === '*' && key === '*')
        ? [{ type: 'm.room.member', stateKey: undefined }]
        : [],
    isLazy,
  }
}

const filtersOf = (given: z.infer<typeof filters>): Filters => ({
  isDirect: given.is_dm ?? undefined,
  isInvited: given.is_invited ?? given.is_invite ?? undefined,
  isEncrypted: given.is_encrypted ?? undefined,
  isInSpaces: (given.spaces?.length ?? 0) > 0,
  types: given.room_types ?? undefined,
  notTypes: given.not_room_types ?? [],
  tags: given.tags ?? undefined,
  notTags: given.not_tags ?? [],
  nameLike: given.room_name_like?.toLowerCase(),
})

const fits = (patterns: readonly StatePattern[], type: string, stateKey: string): boolean =>
  patterns.some(
    (one) => (one.type === undefined || one.type === type) && (one.stateKey === undefined || one.stateKey === stateKey),
  )

/** By any of the lists and subscriptions that a room is in. */
export const isStateWanted = (configs: readonly RoomConfig[], type: string, stateKey: string): boolean =>
  configs.some(({ include, exclude }) => fits(include, type, stateKey) && !fits(exclude, type, stateKey))

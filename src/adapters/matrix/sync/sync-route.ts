/** GET /sync: held until there is something to tell. */
import { z } from 'zod'
import { limits } from '../../../core/limits.ts'
import type { Store } from '../../../core/store/store.ts'
import type { Api, Caller, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { type Filter, filterSchema } from './filter.ts'
import { sync, type SyncParts } from './sync.ts'
import { readToken, type Token } from './token.ts'

export interface SyncRouteParts extends SyncParts {
  readonly store: Store
  /** A program is there, and says so. */
  readonly onPresence: (caller: Caller, presence: string) => void
  /** What was told up to there has been heard. */
  readonly onHeard: (caller: Caller, token: Token) => void
  /** The gateway goes. */
  readonly closing: AbortSignal
}

export function syncRoutes(api: Api, parts: SyncRouteParts): void {
  const { kept, store } = parts
  api.on('GET', '/sync', async ({ caller, query, signal }) => {
    const sinceText = query.get('since') ?? ''
    const since = sinceText === '' ? undefined : readToken(sinceText, parts.run)
    const filter = filterOf(parts, caller, query.get('filter') ?? '')
    const timeoutMs = Math.min(Math.max(0, Number(query.get('timeout') ?? 0) || 0), limits.matrixPollMsMax)
    const wanted = {
      since,
      filter,
      fullState: query.get('full_state') === 'true',
      stateAfter: query.get('use_state_after') === 'true' || query.get('org.matrix.msc4222.use_state_after') === 'true',
    }
    parts.onPresence(caller, query.get('set_presence') ?? 'online')
    if (since !== undefined) parts.onHeard(caller, since)
    const untilMs = performance.now() + timeoutMs
    const ended = AbortSignal.any([signal, parts.closing])
    for (;;) {
      // from before it is looked for, so that nothing comes unseen
      using news = parts.stream.news(caller.account, untilMs - performance.now(), ended)
      const { body, isNews } = store.read((tx) => sync(parts, tx, caller, wanted))
      if (isNews || wanted.fullState || performance.now() >= untilMs || ended.aborted) return body
      await news.came
    }
  })
  api.withBody('POST', '/user/:user/filter', filterSchema, async ({ caller, path }, body) => {
    ownOnly(parts, caller, path['user']!)
    const text = JSON.stringify(body)
    return await store.write((tx) => {
      const all = kept.list<Filter>(tx, caller.account, 'filter')
      const same = all.find(({ value }) => JSON.stringify(value) === text)
      const id = same?.names[0] ?? String(all.length)
      if (same === undefined) kept.put(tx, caller.account, 'filter', [id], body, { max: 1000 })
      return { filter_id: id }
    })
  })
  api.on('GET', '/user/:user/filter/:filter', ({ caller, path }) => {
    ownOnly(parts, caller, path['user']!)
    const found = store.read((tx) => kept.get<Json>(tx, caller.account, 'filter', path['filter']!))
    if (found === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such filter')
    return found.value
  })
}

/** @throws MatrixError `M_FORBIDDEN` */
export function ownOnly({ names }: Pick<SyncParts, 'names'>, { account }: Caller, user: string): void {
  if (names.identity(account, user) !== account) throw new MatrixError('M_FORBIDDEN', 'This is somebody else’s')
}

function filterOf({ kept, store }: SyncRouteParts, { account }: Caller, text: string): Filter {
  if (text === '') return {}
  if (!text.startsWith('{')) return store.read((tx) => kept.get<Filter>(tx, account, 'filter', text))?.value ?? {}
  try {
    return filterSchema.parse(JSON.parse(text))
  } catch (error) {
    const what = error instanceof z.ZodError ? error.issues[0]?.message : 'no JSON'
    throw new MatrixError('M_BAD_JSON', `The filter: ${what}`)
  }
}

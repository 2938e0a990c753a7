/** Sliding sync over HTTP, in both of its forms: held until there is something to tell. */
import type { Store } from '../../../../core/store/store.ts'
import type { Api, Asked, Json } from '../../http/api.ts'
import type { SyncRouteParts } from '../sync-route.ts'
import { Connections } from './connections.ts'
import { Recency } from './recency.ts'
import { readRequest, slidingSchema } from './request.ts'
import { type Dialect, slide } from './sliding.ts'

const simplified: Dialect = { timeline: 'timeline', expanded: 'unstable_expanded_timeline' }
const merged: Dialect = { timeline: 'timeline_events', expanded: 'expanded_timeline' }

export function slidingRoutes(api: Api, given: SyncRouteParts & { readonly store: Store }): void {
  const parts = { ...given, recency: new Recency(given.stream) }
  const connections = new Connections(given.run)
  const answer =
    (dialect: Dialect) =>
    async ({ caller, query, signal }: Asked, body: Parameters<typeof readRequest>[0]): Promise<Json> => {
      const request = readRequest(body, query, parts.names.own(caller.account))
      const before = connections.at(caller, request.connection, request.pos)
      parts.onPresence(caller, request.presence)
      const heard = Number(/^\d{1,15}$/.exec(request.extensions.toDevice?.since ?? '')?.[0] ?? 0)
      if (heard > 0) parts.onHeard(caller, { number: heard, moment: 0, toDevice: heard })
      const untilMs = performance.now() + (before === undefined ? 0 : request.timeoutMs)
      const ended = AbortSignal.any([signal, parts.closing])
      for (;;) {
        // from before it is looked for, so that nothing comes unseen
        using news = parts.stream.news(caller.account, untilMs - performance.now(), ended)
        const slid = parts.store.read((tx) => slide(parts, tx, caller, request, { before, dialect }))
        if (slid.isNews || performance.now() >= untilMs || ended.aborted)
          return { pos: connections.put(caller, request.connection, slid.position), ...slid.body }
        await news.came
      }
    }
  api.withBody('POST', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', slidingSchema, answer(simplified))
  api.withBody('POST', '/_matrix/client/v4/sync', slidingSchema, answer(merged))
}

/** The order on which loop freedom rests (RFC 8966 §2.4, §3.5.1). */

/** How far a destination was said to be, by its own sequence number and a metric. */
export interface Distance {
  /** Given by the destination alone, ascending. */
  readonly seqno: number
  readonly metric: number
}

/** Whether `a` is strictly better: of a later sequence number, or nearer under the same. */
const isBetter = (a: Distance, b: Distance): boolean =>
  a.seqno > b.seqno || (a.seqno === b.seqno && a.metric < b.metric)

/**
 * The feasibility condition: a route may be used only when it was announced at a distance better than any that this
 * gateway has ever announced itself. Then the announcer cannot be using a route through us.
 */
export const isFeasible = (announced: Distance, own: Distance | undefined): boolean =>
  own === undefined || isBetter(announced, own)

export const better = (a: Distance, b: Distance | undefined): Distance => (b === undefined || isBetter(a, b) ? a : b)

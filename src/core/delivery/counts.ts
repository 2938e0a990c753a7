/** What the delivery path counts since it started: numbers only, for metrics. */
export interface DeliveryCounts {
  /** Messages that the first device of a recipient has acknowledged. */
  delivered: number
  /** Messages given up: refused by every device, or too old. */
  failed: number
  /** Mails put into a mailbox here, from contacts and from other accounts of this gateway. */
  received: number
  /** First flights that others sent, by what became of them before anything was spent on them. */
  readonly flights: { admitted: number; refused: number; askedForWork: number }
}

export const newDeliveryCounts = (): DeliveryCounts => ({
  delivered: 0,
  failed: 0,
  received: 0,
  flights: { admitted: 0, refused: 0, askedForWork: 0 },
})

/** What is said of an address that nobody here knows. */
import { StanzaError } from '../stanza-error.ts'

/** @returns with the remedy in words */
export const unknownPerson = (jid: string): StanzaError =>
  new StanzaError(
    'item-not-found',
    `Nobody is known here by ${jid}. Exchange an invitation: "mycelium-gateway invite create" makes a link for them, and "mycelium-gateway invite accept" takes theirs.`,
  )

/** At this gateway's own domain (RFC 6121 §8.5.1). */
export const noSuchUser = (): StanzaError =>
  new StanzaError('service-unavailable', 'Nobody is called so at this gateway.')

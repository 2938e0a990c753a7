/** Why a call cannot be carried, in words of stanza errors. */
import { MyceliumError } from '../../../../core/errors.ts'
import { el } from '../../element.ts'
import { StanzaError } from '../../stanza-error.ts'

/** @throws the error itself where it is none of those */
export function callFailure(error: unknown): StanzaError {
  if (!(error instanceof MyceliumError)) throw error
  switch (error.code) {
    // XEP-0191 §3.7
    case 'blocked':
      return new StanzaError('not-acceptable', 'blocked', el('blocked urn:xmpp:blocking:errors'))
    case 'no-such-contact':
      return new StanzaError('service-unavailable')
    case 'key-changed':
      return new StanzaError('not-allowed', 'The key of this contact has changed: compare digits first.')
    case 'too-large':
      return new StanzaError('policy-violation', 'too large for a step of a call')
    case 'throttled':
      return new StanzaError('resource-constraint', 'too much at once')
    case 'mailbox-full':
      return new StanzaError('resource-constraint', 'no room left')
    default:
      throw error
  }
}

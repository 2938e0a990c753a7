/**
 * How people of the overlay are called at another server: `bob@other.org` is `bob\40other.org@component.domain` there
 * (XEP-0106), whoever asks; users of that server keep their JIDs.
 */
import { bareOf, escapeLocal, type Jid, parseJid, unescapeLocal } from '../jid.ts'

/** @param jid as the gateway knows it */
export const outward = (jid: Jid, domain: string): Jid => ({
  local: escapeLocal(bareOf(jid)),
  domain,
  resource: jid.resource,
})

/** `undefined` for what names nobody. */
export function inward({ local, resource }: Jid): Jid | undefined {
  const jid = parseJid(unescapeLocal(local))
  return jid === undefined || jid.local === '' || jid.resource !== '' ? undefined : { ...jid, resource }
}

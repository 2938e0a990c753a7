/** What CAPABILITY says in each state. A name stands here only when all of it works. */
import { limits } from '../../core/limits.ts'
import { isLoopback } from '../wire/channel.ts'
import { saslMechanisms } from '../wire/sasl.ts'
import type { Session } from './session.ts'

const always = ['IMAP4rev1', 'LITERAL+', 'SASL-IR', 'ID', 'ENABLE']

const afterLogin = [
  'IMAP4rev2',
  'NAMESPACE',
  'CHILDREN',
  'IDLE',
  'UIDPLUS',
  'MOVE',
  'UNSELECT',
  'CONDSTORE',
  'QRESYNC',
  'ESEARCH',
  'SEARCHRES',
  'WITHIN',
  'PARTIAL',
  'UIDBATCHES',
  'SORT',
  'SORT=DISPLAY',
  'ESORT',
  'THREAD=ORDEREDSUBJECT',
  'THREAD=REFERENCES',
  'THREAD=REFS',
  'CONTEXT=SEARCH',
  'CONTEXT=SORT',
  'MULTISEARCH',
  'SEARCH=FUZZY',
  'INPROGRESS',
  'LIST-EXTENDED',
  'LIST-STATUS',
  'SPECIAL-USE',
  'CREATE-SPECIAL-USE',
  'MULTIAPPEND',
  'BINARY',
  'CATENATE',
  'REPLACE',
  'METADATA',
  'LIST-METADATA',
  'UIDONLY',
  'NOTIFY',
  'UNAUTHENTICATE',
  'UTF8=ACCEPT',
  'STATUS=SIZE',
  'OBJECTID',
  'SAVEDATE',
  'PREVIEW',
]

/**
 * COMPRESS is offered to clients on the network only (who asks for it on loopback gets it all the same): on one machine
 * it costs time on both sides. 2026-11-21: with it, under load, a line pushed in IDLE reached Thunderbird only together
 * with the next one (its log, one run of four). Not held back here: test/adapters/imap/compress.test.ts. See docs/limits.md.
 */
export function capabilities(session: Session): string {
  if (session.login !== undefined) {
    const names = [...always, ...afterLogin]
    if (!session.isCompressed && !isLoopback(session.channel.remote)) names.push('COMPRESS=DEFLATE')
    if (session.context.services.quota !== undefined) names.push('QUOTA', 'QUOTA=RES-STORAGE')
    names.push(`APPENDLIMIT=${session.context.services.messageBytesMax ?? limits.mailBytesMax}`)
    return names.join(' ')
  }
  const names = [...always]
  if (session.channel.canStartTls) names.push('STARTTLS')
  if (session.channel.isPrivate) names.push(...saslMechanisms.map((name) => `AUTH=${name}`))
  else names.push('LOGINDISABLED')
  return names.join(' ')
}

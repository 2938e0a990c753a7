/** COPY and MOVE (RFC 6851) with the numbers of the copies (RFC 4315). */
import type { UidPair } from '../../../core/mailbox/mailbox.ts'
import type { Command } from '../command.ts'
import { formatNumberSet } from '../number-set.ts'
import { no, ok } from '../responses.ts'

const copying = (act: 'copy' | 'move', kind: 'uid' | 'seq'): Command => ({
  when: 'selected',
  holdsExpunge: act === 'copy' && kind === 'seq',
  async run(session, args) {
    args.sp()
    const uids = session.resolve(args.set(), kind)
    args.sp()
    const name = session.readMailbox(args)
    args.end()
    const { account, mailboxes, selected: view } = session
    if (act === 'move' && view.isReadOnly) return no('The mailbox is open for reading only', 'READ-ONLY')
    const target = mailboxes.byName(account, name)
    if (target === undefined) return no('No such mailbox', 'TRYCREATE')
    const pairs = uids.length === 0 ? [] : await mailboxes[act](account, view.mailbox, uids, target.id)
    if (target.id === view.mailbox) view.touch('appended')
    const isPartial = kind === 'seq' && pairs.length < uids.length
    if (act === 'move') {
      // The client learns the new numbers before the old ones vanish.
      if (pairs.length > 0) session.out.line(`* OK [${copyUid(target.uidValidity, pairs)}] Moved`)
      view.touch('expunged')
      session.writeUpdates(true)
      return isPartial ? no('Some of the messages were gone', 'EXPUNGEISSUED') : ok('Moved')
    }
    if (isPartial) return no('Some of the messages are gone', 'EXPUNGEISSUED')
    return pairs.length === 0 ? ok('Nothing to copy') : ok('Copied', copyUid(target.uidValidity, pairs))
  },
})

const copyUid = (uidValidity: number, pairs: readonly UidPair[]): string =>
  `COPYUID ${uidValidity} ${formatNumberSet(pairs.map(({ from }) => from))} ${formatNumberSet(pairs.map(({ to }) => to))}`

export const copy: Command = copying('copy', 'seq')
export const uidCopy: Command = copying('copy', 'uid')
export const move: Command = copying('move', 'seq')
export const uidMove: Command = copying('move', 'uid')

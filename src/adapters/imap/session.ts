/** State of one connection (RFC 9051 §3): who is logged in, what was enabled, what is selected, and what the client must still be told. */
import { fromLatin1 } from '../../core/bytes.ts'
import type { Login } from '../../core/account/logins.ts'
import type { Identity, Uid } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { MailboxColumns, Mailboxes } from '../../core/mailbox/mailbox.ts'
import type { Channel } from '../wire/channel.ts'
import type { Arguments } from './arguments.ts'
import { Decoder, type DecoderBounds } from './decoder.ts'
import { mailboxName, Output } from './encoder.ts'
import type { Notify } from './notify/notify.ts'
import { formatNumberSet, type NumberSet } from './number-set.ts'
import { Pusher } from './pusher.ts'
import { bad, no, Refusal } from './responses.ts'
import { Contexts } from './search/contexts.ts'
import type { ServerContext } from './services.ts'
import { decodeUtf7 } from '../../core/mailbox/utf7.ts'
import type { View } from './view.ts'

export type Extension = 'CONDSTORE' | 'QRESYNC' | 'UTF8=ACCEPT' | 'IMAP4REV2' | 'UIDONLY'

export const systemFlags = ['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft'] as const

/** INBOX in one spelling, everything else in one composition. */
export const canonicalName = (name: string): string =>
  /^inbox(?=\/|$)/i.test(name) ? `INBOX${name.slice(5)}` : name.normalize('NFC')

const fetchUid = fromLatin1(' FETCH (UID ')
/** Combinations of flags, written out: few messages differ. */
const endsMax = 64

export class Session {
  readonly channel: Channel
  readonly context: ServerContext
  readonly out: Output
  readonly decoder: Decoder
  readonly enabled = new Set<Extension>()
  /** Ends when the connection does. */
  readonly signal: AbortSignal
  view: View | undefined
  /** Result of SEARCH RETURN (SAVE), RFC 5182. */
  savedSearch: readonly Uid[] = []
  /** Results that are kept up to date, RFC 5267. */
  readonly contexts = new Contexts(this)
  readonly pusher = new Pusher(this)
  isIdling = false
  /** What the client wants to hear of, RFC 5465. */
  notify: Notify | undefined
  /** Of the command that runs now. */
  tag = ''
  isCompressed = false
  /** RFC 9586: no sequence number goes either way. A field of its own, for it is asked for each message. */
  isUidOnly = false
  isLoggingOut = false
  /** When the connection last came to belong to nobody: guests have little time. */
  guestSinceMs = performance.now()
  #login: Login | undefined
  #admitted: Disposable | undefined
  #unwatchLogin: (() => void) | undefined

  constructor(channel: Channel, context: ServerContext, signal: AbortSignal) {
    this.channel = channel
    this.context = context
    this.signal = signal
    this.out = new Output(channel)
    this.decoder = new Decoder(channel.reader, async () => {
      // A command has begun: what is being pushed is said to its end, and nothing more is.
      await this.pusher.hold()
      this.out.line('+ Go on')
      this.out.push()
    })
  }

  close(): void {
    void this.pusher.hold()
    this.#leaveAccount()
  }

  get mailboxes(): Mailboxes {
    return this.context.services.mailboxes
  }
  get login(): Login | undefined {
    return this.#login
  }
  /** Of the account that is logged in: commands that need one are not run before. */
  get account(): Identity {
    return this.#login!.account
  }
  get selected(): View {
    return this.view!
  }
  get utf8(): boolean {
    return this.enabled.has('UTF8=ACCEPT') || this.enabled.has('IMAP4REV2')
  }
  get isRev2(): boolean {
    return this.enabled.has('IMAP4REV2')
  }
  get knowsModSeq(): boolean {
    return this.enabled.has('CONDSTORE')
  }
  /** RFC 7162 §3.1: the first command that asks for mod-sequences is answered with the highest one as well. */
  enableModSeq(): void {
    if (this.enabled.has('CONDSTORE')) return
    this.enabled.add('CONDSTORE')
    if (this.view !== undefined) this.out.line(`* OK [HIGHESTMODSEQ ${this.view.highestModSeq}] Highest`)
  }
  get bounds(): DecoderBounds {
    return this.#login === undefined
      ? {
          lineOctetsMax: limits.imapLineBeforeLoginOctetsMax,
          literalBytesMax: limits.imapLiteralBeforeLoginBytesMax,
          idleMs: limits.imapLoginMs,
        }
      : {
          lineOctetsMax: limits.imapLineOctetsMax,
          literalBytesMax: limits.imapLiteralBytesMax,
          idleMs: limits.imapIdleMs,
        }
  }

  /** @throws Refusal when the account has too many connections */
  logIn(login: Login): void {
    const admitted = this.context.admit(login)
    if (admitted === undefined) throw new Refusal(no('Too many connections of this account', 'LIMIT'))
    this.#admitted = admitted
    this.#login = login
    this.context.recents.begin(login.account, this.mailboxes.list(login.account))
    this.#unwatchLogin = this.context.services.logins.watch(login, () => this.channel.destroy())
  }

  /** RFC 8437: as before login. */
  logOut(): void {
    this.#leaveAccount()
    this.enabled.clear()
    this.isUidOnly = false
    this.savedSearch = []
    this.#login = undefined
    this.guestSinceMs = performance.now()
  }

  endNotify(): void {
    this.notify?.close()
    this.notify = undefined
  }

  #leaveAccount(): void {
    this.endNotify()
    this.view?.close()
    this.view = undefined
    this.#unwatchLogin?.()
    this.#unwatchLogin = undefined
    this.#admitted?.[Symbol.dispose]()
    this.#admitted = undefined
  }

  /** A mailbox name as the client writes it → UTF-8, INBOX in one spelling. @throws Refusal */
  readMailbox(args: Arguments): string {
    return this.toMailboxName(args.astring())
  }
  toMailboxName(written: string): string {
    // Names outside ASCII are UTF-8 already: only a client that believes in it sends them.
    const name = this.utf8 || !/^[ -~]*$/.test(written) ? written : decodeUtf7(written)
    if (name === undefined || Buffer.byteLength(name) > limits.imapMailboxNameOctetsMax || /\p{Cc}/u.test(name)) {
      throw new Refusal(no('This is not a mailbox name', 'CANNOT'))
    }
    const trimmed = name.length > 1 && name.endsWith('/') ? name.slice(0, -1) : name
    return canonicalName(trimmed)
  }
  /** The same for a pattern of LIST. @throws Refusal */
  toMailboxPattern(written: string): string {
    const pattern = this.utf8 || !/^[ -~]*$/.test(written) ? written : (decodeUtf7(written) ?? written)
    if (Buffer.byteLength(pattern) > limits.imapMailboxNameOctetsMax) throw new Refusal(bad('Pattern too long'))
    return canonicalName(pattern)
  }
  writeMailbox(name: string): string {
    return mailboxName(name, { utf8: this.utf8 })
  }

  /** Messages that a set names, ascending. Naming a message that does not exist is a mistake, except by UID. @throws Refusal */
  resolve(set: NumberSet | '$', kind: 'uid' | 'seq'): readonly Uid[] {
    if (set === '$') return this.savedSearch.filter((uid) => this.selected.seqOf(uid) > 0)
    const uids = this.selected.resolve(set, kind)
    if (uids === undefined) throw new Refusal(bad('No such message number'))
    return uids
  }

  /** `FETCH` responses that say which flags messages have now. Not for those that are gone. */
  writeFlags(uids: readonly Uid[]): void {
    if (uids.length === 0) return
    const { out, selected: view, isUidOnly } = this
    const columns = view.columns()
    if (view.hasNewKeywords) this.writeKeywords()
    if (!isUidOnly && !this.knowsModSeq) {
      this.#writePlainFlags(uids, columns)
      return
    }
    for (const uid of uids) {
      const index = columns.indexOf(uid)
      if (index < 0) continue
      this.openFetch(uid)
      if (!isUidOnly) {
        out.text('UID ')
        out.number(uid)
        out.text(' ')
      }
      out.text('FLAGS (')
      out.text(this.flagsAt(columns, index, uid))
      if (this.knowsModSeq) {
        out.text(') MODSEQ (')
        out.number(columns.modSeqAt(index))
      }
      out.text('))\r\n')
    }
  }

  /** The same for what most mail programs read, `* 3 FETCH (UID 7 FLAGS (\\Seen))`: of all messages, it may be asked often. */
  #writePlainFlags(uids: readonly Uid[], columns: MailboxColumns): void {
    const { out, selected: view } = this
    const ends = new Map<string, Uint8Array>()
    for (const uid of uids) {
      const index = columns.indexOf(uid)
      if (index < 0) continue
      const flags = this.flagsAt(columns, index, uid)
      let end = ends.get(flags)
      if (end === undefined) {
        if (ends.size === endsMax) ends.clear()
        ends.set(flags, (end = fromLatin1(` FLAGS (${flags}))\r\n`)))
      }
      out.numbered(view.seqOf(uid), fetchUid, uid, end)
    }
  }

  /** `* 3 FETCH (`, or `* 7 UIDFETCH (` where UIDs stand for messages. */
  openFetch(uid: Uid): void {
    const { out, isUidOnly } = this
    out.text('* ')
    out.number(isUidOnly ? uid : this.selected.seqOf(uid))
    out.text(isUidOnly ? ' UIDFETCH (' : ' FETCH (')
  }

  /** Flags of a message, space-separated. */
  flagsAt(columns: MailboxColumns, index: number, uid: Uid): string {
    const view = this.selected
    const flags = view.flagText(columns, columns.flagSetAt(index))
    if (!view.isRecent(uid) || this.isRev2) return flags
    return flags === '' ? '\\Recent' : `${flags} \\Recent`
  }

  /** Names every flag that FETCH may show from now on. */
  writeKeywords(): void {
    const flags = [...systemFlags, ...this.selected.takeKeywords()].join(' ')
    this.out.line(`* FLAGS (${flags})`)
    const permanent = this.selected.isReadOnly ? '' : `${flags} \\*`
    this.out.line(`* OK [PERMANENTFLAGS (${permanent})] Flags that are kept`)
  }

  /** Tells what changed since the client was last told. */
  writeUpdates(allowExpunge: boolean): void {
    const { view, out } = this
    if (view === undefined) return
    if (this.mailboxes.byId(view.account, view.mailbox) === undefined) {
      view.close()
      this.view = undefined
      out.line('* OK [CLOSED] The selected mailbox was removed')
      return
    }
    this.contexts.writeGone()
    const updates = view.takeUpdates(allowExpunge)
    if (updates.expunged.length > 0) {
      if (this.isUidOnly || this.enabled.has('QRESYNC'))
        out.line(`* VANISHED ${formatNumberSet(updates.expunged.map(({ uid }) => uid))}`)
      else for (const { seq } of updates.expunged) out.line(`* ${seq} EXPUNGE`)
    }
    if (updates.exists !== undefined) {
      out.line(`* ${updates.exists} EXISTS`)
      if (!this.isRev2) {
        view.claimRecent(this.context.recents)
        out.line(`* ${view.recentCount} RECENT`)
      }
    }
    this.writeFlags(updates.flags)
  }
}

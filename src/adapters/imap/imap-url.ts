/** URLs of messages and their parts in the client's own mailboxes (RFC 5092, as absolute paths), for CATENATE. */
import { fromUtf8 } from '../../core/bytes.ts'
import { Arguments, BadSyntax } from './arguments.ts'
import { cut, type Section, sectionContent, readSection } from './fetch/section.ts'
import { no, Refusal } from './responses.ts'
import { canonicalName, type Session } from './session.ts'
import { Summary } from './summary.ts'

interface ImapUrl {
  readonly mailbox: string
  readonly uidValidity: number | undefined
  readonly uid: number
  readonly section: Section
  readonly offset: number
  readonly count: number
}

const form =
  /^\/([^;]+?)(?:;uidvalidity=(\d{1,10}))?\/;uid=(\d{1,10})(?:\/?;section=([^;]*?))?(?:\/;partial=(\d{1,10})(?:\.(\d{1,10}))?)?\/?$/i

/** `/INBOX;UIDVALIDITY=1/;UID=20/;SECTION=1.MIME/;PARTIAL=0.100`. */
function parseImapUrl(text: string): ImapUrl | undefined {
  const parts = form.exec(text)
  if (parts === null) return undefined
  try {
    const [, mailbox, uidValidity, uid, section, offset, count] = parts
    return {
      mailbox: canonicalName(decodeURIComponent(mailbox!)),
      uidValidity: uidValidity === undefined ? undefined : Number(uidValidity),
      uid: Number(uid),
      section: sectionNamed(decodeURIComponent(section ?? '')),
      offset: Number(offset ?? 0),
      count: count === undefined ? Infinity : Number(count),
    }
  } catch (error) {
    if (error instanceof URIError || error instanceof BadSyntax) return undefined
    throw error
  }
}

function sectionNamed(text: string): Section {
  const args = new Arguments([{ kind: 'line', octets: fromUtf8(`[${text}]`) }])
  const section = readSection(args)
  args.end()
  return section
}

/** The octets that a URL names. @throws Refusal */
export async function* contentOfUrl(session: Session, text: string): AsyncGenerator<Uint8Array> {
  const { mailboxes, account } = session
  const refusal = (): Refusal => new Refusal(no('This URL names nothing here', `BADURL ${quoted(text)}`))
  const url = parseImapUrl(text)
  const info = url === undefined ? undefined : mailboxes.byName(account, url.mailbox)
  if (url === undefined || info === undefined) throw refusal()
  if (url.uidValidity !== undefined && url.uidValidity !== info.uidValidity) throw refusal()
  const columns = mailboxes.columns(account, info.id)
  const index = columns.indexOf(url.uid as Parameters<typeof columns.indexOf>[0])
  if (index < 0) throw refusal()
  const content = columns.contentAt(index)
  const summary = new Summary(await mailboxes.summary(account, info.id, columns.uidAt(index)))
  const found = await sectionContent(session, { content, summary }, url.section)
  if (found === undefined) throw refusal()
  if (found instanceof Uint8Array) {
    const { from, to } = cut({ from: 0, to: found.length }, url)
    if (to > from) yield found.subarray(from, to)
    return
  }
  const range = cut(found, url)
  if (range.to > range.from) yield* mailboxes.read(account, content, range)
}

const quoted = (url: string): string => `"${url.replaceAll(/[^ -~]/g, '?').replaceAll(/["\\\]]/g, '?')}"`

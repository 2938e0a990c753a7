/** Commands of IMAP (RFC 9051 §9 and extensions) as a grammar, right in form and often odd in sense. */
import fc from 'fast-check'

const number = fc.oneof(fc.integer({ min: 0, max: 12 }).map(String), fc.constantFrom('4294967295', '4294967296', '*'))
const range = fc.oneof(
  number,
  fc.tuple(number, number).map(([from, to]) => `${from}:${to}`),
)
const set = fc.oneof(
  fc.array(range, { minLength: 1, maxLength: 6 }).map((ranges) => ranges.join(',')),
  fc.constant('$'),
)
const text = fc.string({ maxLength: 12, unit: 'grapheme-ascii' })
const quoted = text.map((inner) => `"${inner.replaceAll(/["\\]/g, String.raw`\$&`)}"`)
const literal = text.map((inner) => `{${inner.length}+}\r\n${inner}`)
const astring = fc.oneof(fc.constantFrom('INBOX', 'Sent', 'Work', 'inbox', 'NIL', '&AOQ-', 'a/b'), quoted, literal)
const flag = fc.constantFrom(
  String.raw`\Seen`,
  String.raw`\Deleted`,
  String.raw`\Flagged`,
  String.raw`\Recent`,
  String.raw`\*`,
  'work',
  '$Junk',
)
const list = (item: fc.Arbitrary<string>, maxLength = 5): fc.Arbitrary<string> =>
  fc.array(item, { maxLength }).map((items) => `(${items.join(' ')})`)
const words = (...parts: readonly (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part))).map((all) => all.join(' '))
const uid = (command: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(fc.boolean(), command).map(([byUid, written]) => (byUid ? `UID ${written}` : written))

const section = fc.constantFrom(
  '',
  'HEADER',
  'TEXT',
  '1',
  '1.2',
  '2.MIME',
  '1.HEADER',
  'HEADER.FIELDS (Subject)',
  '1.1.1.1',
)
const partial = fc.oneof(
  fc.constant(''),
  fc.tuple(number, number).map(([from, count]) => `<${from}.${count}>`),
)
const fetchItem = fc.oneof(
  fc.constantFrom(
    'UID',
    'FLAGS',
    'ENVELOPE',
    'BODY',
    'BODYSTRUCTURE',
    'MODSEQ',
    'PREVIEW',
    'RFC822',
    'FAST',
    'EMAILID',
  ),
  fc
    .tuple(fc.constantFrom('BODY.PEEK', 'BODY', 'BINARY.PEEK', 'BINARY.SIZE'), section, partial)
    .map(([item, inner, range]) => `${item}[${inner}]${range}`),
)
const day = fc.constantFrom('1-Feb-2026', '"32-Foo-1"', '01-Jan-1970', '31-Dec-9999')
const { key } = fc.letrec<{ key: string }>((tie) => ({
  key: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('ALL', 'SEEN', 'UNDELETED', 'NEW', 'OLD', 'RECENT', 'DRAFT'),
    words(fc.constantFrom('TEXT', 'BODY', 'SUBJECT', 'FROM', 'KEYWORD'), astring),
    words('HEADER', astring, astring),
    words(fc.constantFrom('SINCE', 'SENTBEFORE', 'ON', 'SAVEDSINCE'), day),
    words(fc.constantFrom('LARGER', 'SMALLER', 'MODSEQ', 'OLDER', 'YOUNGER'), number),
    words('UID', set),
    set,
    words('NOT', tie('key')),
    words('OR', tie('key'), tie('key')),
    fc.array(tie('key'), { minLength: 1, maxLength: 4 }).map((keys) => `(${keys.join(' ')})`),
  ),
}))
const mail = fc.tuple(text, text).map(([subject, body]) => `Subject: ${subject}\r\n\r\n${body}\r\n`)

export const imapCommand: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('NOOP', 'CAPABILITY', 'CHECK', 'NAMESPACE', 'UNSELECT', 'CLOSE', 'EXPUNGE', 'IDLE', 'DONE', 'ID NIL'),
  words(fc.constantFrom('SELECT', 'EXAMINE', 'CREATE', 'DELETE', 'SUBSCRIBE', 'UNSUBSCRIBE', 'GETQUOTAROOT'), astring),
  words('SELECT', astring, '(QRESYNC (1 1 1:5 (1:3 1:3)))'),
  words('RENAME', astring, astring),
  words(fc.constantFrom('LIST', 'LSUB'), astring, fc.oneof(astring, fc.constantFrom('*', '%', '"%/%"', '(INBOX "*")'))),
  words('LIST (SUBSCRIBED RECURSIVEMATCH) "" *', 'RETURN', list(fc.constantFrom('CHILDREN', 'STATUS (MESSAGES)', 'X'))),
  words('STATUS', astring, list(fc.constantFrom('MESSAGES', 'UNSEEN', 'UIDNEXT', 'SIZE', 'HIGHESTMODSEQ', 'X'))),
  words('ENABLE', fc.constantFrom('CONDSTORE', 'QRESYNC', 'UTF8=ACCEPT', 'IMAP4rev2', 'UIDONLY', 'X')),
  uid(words('FETCH', set, fc.oneof(fetchItem, list(fetchItem)))),
  uid(words('FETCH', set, list(fetchItem), '(CHANGEDSINCE 1 VANISHED)')),
  uid(words('STORE', set, fc.constantFrom('FLAGS', '+FLAGS', '-FLAGS.SILENT', '(UNCHANGEDSINCE 1) FLAGS'), list(flag))),
  uid(words(fc.constantFrom('COPY', 'MOVE'), set, astring)),
  words('UID EXPUNGE', set),
  uid(words('SEARCH', key)),
  uid(words('SEARCH RETURN', list(fc.constantFrom('MIN', 'MAX', 'ALL', 'COUNT', 'SAVE', 'PARTIAL 1:2')), key)),
  uid(words('SORT', list(fc.constantFrom('REVERSE', 'DATE', 'SUBJECT', 'FROM', 'X'), 3), 'UTF-8', key)),
  uid(words('THREAD', fc.constantFrom('REFERENCES', 'ORDEREDSUBJECT', 'X'), 'UTF-8', key)),
  fc
    .tuple(astring, list(flag), mail)
    .map(([name, flags, bytes]) => `APPEND ${name} ${flags} {${bytes.length}+}\r\n${bytes}`),
  words('GETMETADATA', astring, astring),
  words('NOTIFY SET', list(fc.constantFrom('SELECTED', 'PERSONAL', '(MessageNew MessageExpunge)', 'X'))),
)

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Command, decodeXtext, parseCommand } from '../../../src/adapters/smtp/command.ts'
import { limits } from '../../../src/core/limits.ts'
import { readMailParameters } from '../../../src/adapters/smtp/parameters.ts'
import { newSession, type Rules, type Session, step } from '../../../src/adapters/smtp/session.ts'
import { errorCodes } from '../../../src/core/errors.ts'
import { formatReply, replies, type Reply, replyForCode } from '../../../src/adapters/smtp/reply.ts'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { identityOf } from '../wire/memory-logins.ts'

const parse = (line: string): Command => parseCommand(fromUtf8(line))

describe('paths', () => {
  test.each([
    ['MAIL FROM:<a@b.c>', 'a@b.c'],
    ['mail from: <a@b.c>', 'a@b.c'],
    ['MAIL FROM:<"a"@b.c>', 'a@b.c'],
    [String.raw`MAIL FROM:<"\a.b"@b.c>`, 'a.b@b.c'],
    [String.raw`MAIL FROM:<"a>b"@b.c>`, '"a>b"@b.c'],
    ['MAIL FROM:<"a b"@b.c>', '"a b"@b.c'],
    ['MAIL FROM:<@x.y,@z:a@b.c>', 'a@b.c'],
    ['MAIL FROM:<postmaster>', 'postmaster'],
    ['MAIL FROM:<ä@ö.c>', 'ä@ö.c'],
  ])('%s', (line, text) => {
    expect(parse(line)).toEqual({ verb: 'MAIL', path: { kind: 'mailbox', text }, parameters: [] })
  })
  test.each([
    'MAIL',
    'MAIL FROM',
    'MAIL FROM:a@b.c',
    'MAIL FROM:<a@b.c',
    'MAIL FROM:<a@b.c>SIZE=1',
    'MAIL FROM:<a b@c.d>',
    'MAIL FROM:<<a@b.c>>',
    'MAIL TO:<a@b.c>',
    'MAIL FROM:<"a@b.c>',
    'MAIL FROM:<a"b@c.d>',
    'MAIL FROM:<a@b.c> =1',
    'MAIL FROM:<a@b.c> A=',
    'MAIL FROM:<a@b.c> A=1=2',
    'MAIL FROM:<a@b.c> a=1 A=2',
    `MAIL FROM:<a@b.c>${' A=1'.repeat(17)}`,
    `MAIL FROM:<a@b.c>${Array.from({ length: 17 }, (_, at) => ` A${at}`).join('')}`,
  ])('%s is refused', (line) => {
    expect(parse(line)).toEqual({ verb: 'bad-arguments', of: 'MAIL' })
  })
})

test('xtext decodes to printable ASCII or nothing (RFC 3461 §4)', () => {
  expect(decodeXtext('a+2Bb+3D', 100)).toBe('a+b=')
  for (const bad of ['a+2b', 'a+', 'a=b', 'a+0D+0A', 'ü', 'a b']) expect(decodeXtext(bad, 100)).toBeUndefined()
  expect(decodeXtext('a'.repeat(101), 100)).toBeUndefined()
})

describe('how long a mail is to be held (RFC 4865)', () => {
  const nowMs = Date.parse('2027-02-03T04:05:06Z')
  const held = (...parameters: readonly [name: string, value: string | undefined][]): number | string => {
    const read = readMailParameters(
      parameters.map(([name, value]) => ({ name, value })),
      nowMs,
    )
    return read.kind === 'ok' ? (read.value.holdUntilMs ?? 'not at all') : `${read.reply.code} ${read.reply.enhanced}`
  }

  test('seconds from now, or a moment in any zone', () => {
    expect(held()).toBe('not at all')
    expect(held(['HOLDFOR', '0'])).toBe(nowMs)
    expect(held(['HOLDFOR', '7776000'])).toBe(nowMs + limits.holdMsMax)
    expect(held(['HOLDUNTIL', '2027-02-03T05:00:00Z'])).toBe(Date.parse('2027-02-03T05:00:00Z'))
    expect(held(['HOLDUNTIL', '2027-02-03t07:30:00.5+02:30'])).toBe(Date.parse('2027-02-03T05:00:00.5Z'))
    expect(held(['HOLDUNTIL', '2027-03-31T23:59:60z'])).toBe(Date.parse('2027-03-31T23:59:59Z'))
    expect(held(['HOLDUNTIL', '1999-12-31T00:00:00Z'])).toBe(Date.parse('1999-12-31T00:00:00Z'))
  })

  test.each([
    ['HOLDFOR', undefined],
    ['HOLDFOR', ''],
    ['HOLDFOR', '-1'],
    ['HOLDFOR', '1.5'],
    ['HOLDFOR', '7776001'],
    ['HOLDFOR', '9999999999'],
    ['HOLDUNTIL', undefined],
    ['HOLDUNTIL', '60'],
    ['HOLDUNTIL', '2027-02-03'],
    ['HOLDUNTIL', '2027-02-03T05:00:00'],
    ['HOLDUNTIL', '2027-02-30T05:00:00Z'],
    ['HOLDUNTIL', '2027-02-03T25:00:00Z'],
    ['HOLDUNTIL', '2027-13-03T05:00:00Z'],
    ['HOLDUNTIL', '2027-02-03T05:00:00+99:99'],
    ['HOLDUNTIL', '2028-02-03T05:00:00Z'],
  ])('%s=%s is refused', (name, value) => {
    expect(held([name, value])).toBe('501 5.5.4')
  })

  test('both at once are refused', () => {
    expect(held(['HOLDFOR', '60'], ['HOLDUNTIL', '2027-02-03T05:00:00Z'])).toBe('501 5.5.4')
  })

  test('any value is a moment within the bounds, or refused', () => {
    const value = fc.oneof(
      fc.string({ unit: fc.constantFrom('0', '1', '2', '9', '-', ':', 'T', 'Z', '+', '.') }),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
    )
    fc.assert(
      fc.property(fc.constantFrom('HOLDFOR', 'HOLDUNTIL'), value, (name, text) => {
        const until = held([name, text])
        if (typeof until === 'number') expect(until).toBeLessThanOrEqual(nowMs + limits.holdMsMax)
        else expect(until).toBe('501 5.5.4')
      }),
      { numRuns: 2000 },
    )
  })
})

test.each(['BDAT', 'BDAT -1', 'BDAT 1.5', 'BDAT 0x10', 'BDAT 1 FIRST', 'BDAT 1 LAST 2', 'BDAT 9999999999999999'])(
  '%s leaves nobody knowing where the next command begins',
  (line) => {
    expect(parse(line)).toEqual({ verb: 'bad-chunk' })
  },
)

test('any bytes parse to a command, with nothing in it that is not printable', () => {
  const anyLine = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc
      .tuple(
        fc.constantFrom('MAIL FROM:', 'RCPT TO:', 'BDAT ', 'AUTH ', 'EHLO ', 'NOOP', '', 'DATA', 'VRFY '),
        fc.string({
          maxLength: 40,
          unit: fc.constantFrom('<', '>', '@', '"', '\\', ' ', '=', 'a', ':', ',', 'ü', '\u0001', '.'),
        }),
      )
      .map(([verb, rest]) => fromUtf8(verb + rest)),
  )
  fc.assert(
    fc.property(anyLine, (line) => {
      const command = parseCommand(line)
      if (command.verb === 'BDAT') expect(Number.isSafeInteger(command.chunk.octets)).toBe(true)
      if ((command.verb === 'MAIL' || command.verb === 'RCPT') && command.path.kind === 'mailbox') {
        expect(command.path.text).not.toMatch(/\p{Cc}/u)
        expect(command.path.text).not.toBe('')
      }
    }),
    { numRuns: 3000 },
  )
})

describe('the step', () => {
  const account = identityOf('alice')
  const rules: Rules = {
    hostname: 'home.myc',
    messageBytesMax: 1000,
    nowMs: 1_790_000_000_000,
    isSecure: false,
    isPrivate: true,
    canStartTls: true,
    mayUse: (_, address) => address === 'a@b.c',
    recipient: (_, address) =>
      address.startsWith('un') ? { kind: 'refused', code: 'no-such-recipient' } : { kind: 'ok' },
  }
  const command = fc
    .constantFrom(
      'EHLO x',
      'HELO x',
      'MAIL FROM:<a@b.c>',
      'MAIL FROM:<x@b.c>',
      'RCPT TO:<bob@d.e>',
      'RCPT TO:<un@d.e>',
      'DATA',
      'MAIL FROM:<>',
      'MAIL FROM:<a@b.c> BODY=BINARYMIME',
      'BDAT 7',
      'BDAT 7 LAST',
      'BDAT x',
      'RSET',
      'NOOP',
      'STARTTLS',
      'AUTH PLAIN',
      'QUIT',
      'garbage',
    )
    .map(parse)

  test('however commands come, data is only read for a login, an own sender and a known recipient', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(command, fc.constant('log in' as const)), { maxLength: 30 }), (commands) => {
        let session: Session = newSession
        for (const one of commands) {
          if (one === 'log in') {
            if (session.greeted === 'EHLO') session = { ...session, login: { account, passwordId: 'p' } }
            continue
          }
          const stepped = step(session, one, rules)
          expect(stepped.reply === undefined).toBe(['auth', 'chunk', 'discard'].includes(stepped.next.do))
          if (stepped.next.do === 'chunk') {
            expect(stepped.next.login).toBe(session.login)
            expect(stepped.next.transaction.recipients.map((to) => to.address)).toEqual(['bob@d.e'])
            expect(stepped.session.transaction === undefined).toBe(stepped.next.chunk.isLast)
          }
          if (stepped.next.do === 'discard') expect(stepped.next).toMatchObject({ octets: 7 })
          if (stepped.next.do === 'data') {
            expect(stepped.next.transaction).toMatchObject({ isBinary: false, hasChunks: false })
            expect(stepped.next.login).toBe(session.login)
            expect(['a@b.c', '']).toContain(stepped.next.transaction.from)
            expect(stepped.next.transaction.recipients.map((to) => to.address)).toEqual(['bob@d.e'])
            expect(stepped.session.transaction).toBeUndefined()
          }
          if (stepped.next.do === 'start-tls') expect(stepped.session).toEqual(newSession)
          expect(stepped.session.transaction !== undefined && stepped.session.login === undefined).toBe(false)
          // A refusal changes nothing.
          if ((stepped.reply?.code ?? 0) >= 400) expect(stepped.session).toEqual(session)
          session = stepped.session
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('beyond loopback nothing but TLS is offered before TLS', () => {
    const exposed: Rules = { ...rules, isPrivate: false }
    const greeted = step(newSession, parse('EHLO x'), exposed)
    expect(formatReply(greeted.reply!)).toContain('STARTTLS')
    expect(formatReply(greeted.reply!)).not.toContain('AUTH')
    expect(step(greeted.session, parse('AUTH PLAIN AGEAYg=='), exposed).reply?.code).toBe(538)
    expect(step(greeted.session, parse('MAIL FROM:<a@b.c>'), exposed).reply).toBe(replies.startTlsFirst)
  })
})

test('every error has a reply that fits a reply line, and permanent codes never carry a transient enhanced code', () => {
  const all: readonly Reply[] = [...errorCodes.map(replyForCode), ...Object.values(replies)]
  for (const reply of all) {
    for (const line of formatReply(reply).split('\r\n')) expect(line.length).toBeLessThanOrEqual(510)
    if (reply.enhanced !== undefined) expect(reply.enhanced[0]).toBe(String(reply.code)[0])
    expect(formatReply(reply)).toMatch(/^(?:\d{3}-[ -~]*\r\n)*\d{3} [ -~]*\r\n$/)
  }
})

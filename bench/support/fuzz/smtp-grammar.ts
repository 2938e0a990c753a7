/** Commands of SMTP submission (RFC 5321 §4.1 and extensions) as a grammar, with whole messages. */
import fc from 'fast-check'

const text = fc.string({ maxLength: 20, unit: 'grapheme-ascii' }).map((written) => written.replaceAll(/[<>]/g, ''))
const address = fc.oneof(
  fc.constantFrom('alice@alice.example', 'bob@alice.example', 'nobody@far.example', '', '"a b"@c', 'ä@ö.example'),
  text,
)
const parameter = fc.constantFrom(
  'SIZE=1',
  'SIZE=99999999999',
  'BODY=8BITMIME',
  'BODY=BINARYMIME',
  'SMTPUTF8',
  'RET=HDRS',
  'ENVID=a+2Bb',
  'NOTIFY=NEVER',
  'NOTIFY=SUCCESS,DELAY',
  'ORCPT=rfc822;a@b',
  'HOLDFOR=1',
  'REQUIRETLS',
  'X=Y',
)
const parameters = fc.array(parameter, { maxLength: 3 }).map((all) => all.map((one) => ` ${one}`).join(''))
const line = fc.oneof(text, fc.constantFrom('.', '..', '.x', 'Subject: s', '', 'From: <alice@alice.example>'))
const body = fc.array(line, { maxLength: 12 }).map((lines) => lines.join('\r\n'))

export const smtpCommand: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    'NOOP',
    'RSET',
    'HELP',
    'VRFY bob',
    'EXPN list',
    'EHLO client.example',
    'HELO x',
    'AUTH PLAIN',
    'TURN',
  ),
  fc.tuple(address, parameters).map(([from, rest]) => `MAIL FROM:<${from}>${rest}`),
  fc.tuple(address, parameters).map(([to, rest]) => `RCPT TO:<${to}>${rest}`),
  body.map((lines) => `DATA\r\n${lines}\r\n.`),
  fc.tuple(body, fc.boolean()).map(([lines, last]) => `BDAT ${lines.length}${last ? ' LAST' : ''}\r\n${lines}`),
)

/** A mailbox as people have it, made up from a seed: plain, HTML, lists, attachments, forwards, headers in many alphabets. */
import { below, type Random, seeded } from '../support/seeded.ts'

export interface Mail {
  readonly bytes: Buffer
  readonly flags: readonly string[]
  /** IMAP date-time. */
  readonly date: string
}

/** In a few bodies and nowhere else. */
export const rareWord = 'quorlbexine'
/** In some subjects. */
export const subjectWord = 'Vantorel'

const rareEvery = 4000
const subjectEvery = 50
const firstSecond = Date.UTC(2024, 0, 1) / 1000

export function* syntheticMails(count: number, seed = 1): Generator<Mail> {
  const random = seeded(seed)
  const words = vocabulary(random, 4000)
  for (let number = 0; number < count; number += 1) yield new Writer(random, words, number).mail()
}

function vocabulary(random: Random, count: number): readonly string[] {
  const syllables = 'ka ro mi ten sul var do ne pir la gho se um bri ta vel ni sha cor e a un is tem'.split(' ')
  const word = (): string => Array.from({ length: 1 + below(random, 4) }, () => pick(random, syllables)).join('')
  return Array.from({ length: count }, word)
}

const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)]!

const foreign = ['Grüße aus Köln', 'Съобщение за срещата', '会議の資料について', 'Où est la réunion', 'Ärende och svar']
const encodedWord = (text: string): string => `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`

type Kind = 'plain' | 'alternative' | 'list' | 'file' | 'forward'

class Writer {
  readonly #random: Random
  readonly #words: readonly string[]
  readonly #number: number

  constructor(random: Random, words: readonly string[], number: number) {
    this.#random = random
    this.#words = words
    this.#number = number
  }

  mail(): Mail {
    const atMs = (firstSecond + this.#number * 1800) * 1000
    const share = this.#random()
    const kind: Kind =
      share < 0.45 ? 'plain' : share < 0.75 ? 'alternative' : share < 0.85 ? 'list' : share < 0.95 ? 'file' : 'forward'
    const text = `${this.#headers(atMs, kind === 'list')}${this.#content(kind)}`
    return { bytes: Buffer.from(text), flags: this.#flags(), date: imapDate(atMs) }
  }

  #flags(): readonly string[] {
    const flags: string[] = []
    if (this.#random() < 0.7) flags.push('\\Seen')
    if (this.#random() < 0.2) flags.push('\\Answered')
    if (this.#random() < 0.03) flags.push('\\Flagged')
    if (this.#random() < 0.05) flags.push('$Forwarded')
    return flags
  }

  #sentence(words: number): string {
    return Array.from({ length: words }, () => pick(this.#random, this.#words)).join(' ')
  }

  #paragraphs(octets: number): string {
    const lines: string[] = this.#number % rareEvery === 7 ? [`a ${rareWord} among them`] : []
    let length = 0
    while (length < octets) {
      const line = this.#sentence(9 + below(this.#random, 4))
      lines.push(this.#random() < 0.1 ? `${line}\r\n` : line)
      length += line.length + 2
    }
    return `${lines.join('\r\n')}\r\n`
  }

  #person(): string {
    const [first, last] = [pick(this.#random, this.#words), pick(this.#random, this.#words)]
    const name = this.#random() < 0.15 ? encodedWord(`${first} Müßig-${last}`) : `"${first} ${last}"`
    return `${name} <${first}.${last}@${pick(this.#random, this.#words)}.example>`
  }

  #headers(atMs: number, isList: boolean): string {
    const random = this.#random
    const date = new Date(atMs).toUTCString().replace('GMT', '+0000')
    const id = (back: number): string =>
      `<${(this.#number - back).toString(36)}.${atMs - back * 1_800_000}@host.example>`
    const topic = this.#random() < 0.2 ? encodedWord(pick(random, foreign)) : this.#sentence(3 + below(random, 6))
    const subject = this.#number % subjectEvery === 3 ? `${topic} ${subjectWord}` : topic
    const isReply = random() < 0.5
    const received = Array.from(
      { length: 2 + below(random, 3) },
      () =>
        `Received: from ${pick(random, this.#words)}.example (${pick(random, this.#words)}.example [192.0.2.${below(random, 255)}])\r\n` +
        `\tby mx.example (Postfix) with ESMTPS id ${random().toString(36).slice(2, 12)}\r\n\tfor <alice@home.example>; ${date}`,
    )
    const fields = [
      `Return-Path: <bounce-${this.#number}@host.example>`,
      ...received,
      `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=host.example; s=s1;\r\n\th=from:to:subject:date; bh=${this.#base64(32)};\r\n\tb=${this.#base64(128)}`,
      `From: ${this.#person()}`,
      `To: ${Array.from({ length: 1 + below(random, 3) }, () => this.#person()).join(',\r\n\t')}`,
      ...(random() < 0.2 ? [`Cc: ${this.#person()}`] : []),
      `Subject: ${isReply ? 'Re: ' : ''}${subject}`,
      `Date: ${date}`,
      `Message-ID: ${id(0)}`,
      ...(isReply ? [`In-Reply-To: ${id(1)}`, `References: ${id(3)}\r\n ${id(2)} ${id(1)}`] : []),
      ...(isList
        ? [
            'List-Id: Talk <talk.lists.example>',
            'List-Unsubscribe: <mailto:talk-leave@lists.example>',
            'List-Post: <mailto:talk@lists.example>',
            'Precedence: list',
            'Reply-To: talk@lists.example',
          ]
        : []),
      `X-Mailer: Mailer ${below(random, 9)}.${below(random, 99)}`,
      'MIME-Version: 1.0',
    ]
    return `${fields.join('\r\n')}\r\n`
  }

  #content(kind: Kind): string {
    const size = 500 + below(this.#random, 1500)
    if (kind === 'alternative') return this.#multipart('alternative', this.#texts(size))
    if (kind === 'file')
      return this.#multipart('mixed', [
        this.#multipart('alternative', this.#texts(size)),
        `Content-Type: application/pdf; name="${pick(this.#random, this.#words)}.pdf"\r\n` +
          `Content-Disposition: attachment; filename="${pick(this.#random, this.#words)}.pdf"\r\n` +
          `Content-Transfer-Encoding: base64\r\n\r\n${this.#base64(2500 + below(this.#random, 6500))}\r\n`,
      ])
    if (kind === 'forward')
      return this.#multipart('mixed', [
        `Content-Type: text/plain; charset=us-ascii\r\n\r\n${this.#paragraphs(300)}`,
        `Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\n${this.#headers(Date.UTC(2023, 5, 5), false)}${this.#content('plain')}`,
      ])
    return `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${this.#paragraphs(size)}`
  }

  #texts(size: number): readonly string[] {
    const html = this.#paragraphs(size)
      .split('\r\n')
      .map((line) => `<p style=3D"margin:0">${line}</p>`)
      .join('\r\n')
    return [
      `Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${this.#paragraphs(size / 2)}`,
      `Content-Type: text/html; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><body>\r\n${html}\r\n</body></html>\r\n`,
    ]
  }

  #multipart(subtype: string, parts: readonly string[]): string {
    const boundary = `=_${this.#number}_${subtype}_${below(this.#random, 1e9)}`
    const body = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('')
    return `Content-Type: multipart/${subtype};\r\n\tboundary="${boundary}"\r\n\r\n${body}--${boundary}--\r\n`
  }

  #base64(octets: number): string {
    const bytes = Buffer.alloc(octets)
    for (let at = 0; at < octets; at += 1) bytes[at] = below(this.#random, 256)
    return bytes
      .toString('base64')
      .replaceAll(/.{76}/g, '$&\r\n\t')
      .replaceAll('\r\n\t', octets > 1000 ? '\r\n' : '\r\n\t')
  }
}

function imapDate(ms: number): string {
  const [, day, month, year, time] = /, (\d+) (\w+) (\d+) ([\d:]+)/.exec(new Date(ms).toUTCString())!
  return `${day}-${month}-${year} ${time} +0000`
}

/** Mails that say which number they are, and of which every byte follows from it. */
import { createHash } from 'node:crypto'

const lineBytes = 64

/** Most mails are short, some fill several frames, one in fifty is longer than what travels inside a frame. */
function bodyBytesOf(number: number): number {
  const draw = createHash('sha256').update(`chaos ${number}`).digest()
  const share = draw.readUInt32BE() / 2 ** 32
  const among = draw.readUInt32BE(4) / 2 ** 32
  if (share < 0.004) return 128 * 1024 + Math.floor(among * 110 * 1024)
  if (share < 0.02) return 20 * 1024 + Math.floor(among * 60 * 1024)
  if (share < 0.1) return 2048 + Math.floor(among * 12 * 1024)
  return 100 + Math.floor(among * 700)
}

function bodyOf(number: number): string {
  const line = `mail ${number} `.padEnd(lineBytes - 2, String(number % 10))
  return `${line}\r\n`.repeat(Math.ceil(bodyBytesOf(number) / lineBytes))
}

export async function* composeMail(number: number, from: string, to: readonly string[]): AsyncGenerator<Uint8Array> {
  const fields = [
    `From: <${from}>`,
    `To: ${to.map((address) => `<${address}>`).join(',\r\n ')}`,
    `Message-ID: <${number}@chaos>`,
    'Date: Fri, 20 Nov 2026 00:00:00 +0000',
    `Subject: ${number}`,
  ]
  const bytes = Buffer.from(`${fields.join('\r\n')}\r\n\r\n${bodyOf(number)}`)
  for (let at = 0; at < bytes.length; at += 16_384) yield bytes.subarray(at, at + 16_384)
}

/** `undefined` when it is none of these mails, or not all of it. */
export function numberOf(mail: Uint8Array): number | undefined {
  const text = Buffer.from(mail.buffer, mail.byteOffset, mail.byteLength).toString('latin1')
  const number = Number(/\r\nSubject: (\d+)\r\n/.exec(text)?.[1] ?? Number.NaN)
  return text.endsWith(`\r\n\r\n${bodyOf(number)}`) ? number : undefined
}

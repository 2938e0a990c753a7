/** Mails that say which number they are, in their subject and in every byte of their body. */

const lineBytes = 64
/** One in fifty is longer than what travels inside a frame. */
const longEvery = 50
const longBytes = 40 * 1024
const shortBytes = 512

function bodyOf(number: number): string {
  const line = `mail ${number} `.padEnd(lineBytes - 2, String(number % 10))
  return `${line}\r\n`.repeat((number % longEvery === 0 ? longBytes : shortBytes) / lineBytes)
}

export async function* composeMail(
  number: number,
  { from, to }: { readonly from: string; readonly to: string },
): AsyncGenerator<Uint8Array> {
  const fields = [
    `From: <${from}>`,
    `To: <${to}>`,
    `Message-ID: <${number}@faults>`,
    'Date: Fri, 20 Nov 2026 00:00:00 +0000',
    `Subject: ${number}`,
  ]
  yield Buffer.from(`${fields.join('\r\n')}\r\n\r\n${bodyOf(number)}`)
}

/** `undefined` when it is none of these mails, or not all of it. */
export function numberOf(mail: Uint8Array): number | undefined {
  const text = Buffer.from(mail.buffer, mail.byteOffset, mail.byteLength).toString('latin1')
  const number = Number(/\r\nSubject: (\d+)\r\n/.exec(text)?.[1] ?? Number.NaN)
  return text.endsWith(`\r\n\r\n${bodyOf(number)}`) ? number : undefined
}

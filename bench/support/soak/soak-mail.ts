/** Mails that are known by their number alone: every byte can be made again to compare. */
const lineOctets = 76

/** Few are long, most are short, as in a mailbox. */
const lengthOf = (number: number): number =>
  number % 40 === 0 ? 90_000 : number % 7 === 0 ? 9000 : 300 + (number % 900)

/** A word that stands in this mail and in no other. */
export const tokenOf = (number: number): string => `tok${number}end`

export function mailOf(number: number, { from, to }: { readonly from: string; readonly to: string }): string {
  const fields = [
    `From: <${from}>`,
    `To: <${to}>`,
    `Message-ID: <${number}@soak.example>`,
    'Date: Sat, 21 Nov 2026 00:00:00 +0000',
    `Subject: soak ${number} of ${number % 10}`,
    'Content-Type: text/plain',
  ]
  const line = `${tokenOf(number)} `.padEnd(lineOctets - 2, String(number % 10))
  return `${fields.join('\r\n')}\r\n\r\n${`${line}\r\n`.repeat(Math.ceil(lengthOf(number) / lineOctets))}`
}

/** From anything that holds the Subject field; `undefined` when it is none of these mails. */
export function numberIn(text: string): number | undefined {
  const found = /\bSubject: soak (\d+) of \d\r\n/.exec(text)
  return found === null ? undefined : Number(found[1])
}

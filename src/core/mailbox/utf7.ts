/** Mailbox names in modified UTF-7 (RFC 3501 §5.1.3), as IMAP4rev1 writes them. */

/** `undefined` where the text is not in this encoding, or hides ASCII in base64. */
export function decodeUtf7(text: string): string | undefined {
  let decoded = ''
  let at = 0
  while (at < text.length) {
    const char = text[at]!
    if (char !== '&') {
      if (char < ' ' || char > '~') return undefined
      decoded += char
      at += 1
      continue
    }
    const end = text.indexOf('-', at)
    if (end < 0) return undefined
    const run = end === at + 1 ? '&' : decodeRun(text.slice(at + 1, end))
    if (run === undefined) return undefined
    decoded += run
    at = end + 1
  }
  return decoded
}

function decodeRun(base64: string): string | undefined {
  if (!/^[A-Za-z\d+,]+$/.test(base64)) return undefined
  const bytes = Buffer.from(base64.replaceAll(',', '/'), 'base64')
  if (bytes.length === 0 || bytes.length % 2 === 1) return undefined
  const text = bytes.swap16().toString('utf16le')
  return text.isWellFormed() && !/[ -~]/.test(text) && encodeRun(text) === base64 ? text : undefined
}

const encodeRun = (text: string): string =>
  Buffer.from(text, 'utf16le').swap16().toString('base64').replaceAll('/', ',').replaceAll('=', '')

export const encodeUtf7 = (text: string): string =>
  text.replaceAll('&', '&-').replaceAll(/[^ -~]+/g, (run) => `&${encodeRun(run)}-`)

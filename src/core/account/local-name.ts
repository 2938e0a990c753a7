/**
 * An account's name on its own gateway: login name, `localName@localhost`, `@localName:localhost`. It never changes, so
 * it keeps to what XMPP, Matrix and mail all allow: lower-case ASCII letters, digits, dot, hyphen, underscore.
 */
const charsMax = 64

/** `undefined` unless the text is a local name: begins and ends with a letter or digit, no two dots in a row. */
export function parseLocalName(text: string): string | undefined {
  const isName = /^[a-z\d](?:[a-z\d._-]*[a-z\d])?$/.test(text) && !text.includes('..')
  return isName && text.length <= charsMax ? text : undefined
}

/** A local name near to any text, e.g. a login name or the part before `@`: `José Ruiz` gives `jose.ruiz`. */
export function localNameFrom(text: string): string {
  const near = text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/\s+/g, '.')
    .replace(/[^a-z\d._-]/g, '')
    .replace(/\.{2,}/g, '.')
    .slice(0, charsMax)
    .replace(/^[._-]+|[._-]+$/g, '')
  return parseLocalName(near) ?? 'me'
}

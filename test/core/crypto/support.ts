import { readFileSync } from 'node:fs'
import { fromHex } from '../../../src/core/bytes.ts'

export const vectors = (path: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../vectors/${path}`, import.meta.url), 'utf8'))

export const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text)
  if (bytes === undefined) throw new TypeError(`not hex: ${text}`)
  return bytes
}

/**
 * ◆ Elements as they are kept, and as they travel to contacts inside what an account shows of itself. What is read may come
 * from anybody: names that are none would break the XML that they are written into, so they are refused.
 */
import { type Codec, decode, encode, type Reader, text, type Writer } from '../../core/codec.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Element, Node } from './element.ts'

const nameText = text(limits.xmppNameOctetsMax)
const valueText = text(limits.xmppKeptElementBytesMax)
/** XML names without a colon, as far as anybody uses them: letters of every script, and no marks of other kinds. */
const ncName = /^[\p{L}_][\p{L}\p{M}\p{N}._-]*$/u

const isAttributeName = (name: string): boolean => ncName.test(name.startsWith('xml:') ? name.slice(4) : name)

function write(out: Writer, { name, ns, attrs, children }: Element, outerNs: string, depth: number): void {
  if (depth > limits.xmppKeptDepthMax) throw new MyceliumError('too-large', { depth })
  nameText.write(out, name)
  out.u8(ns === outerNs ? 1 : 0)
  if (ns !== outerNs) nameText.write(out, ns)
  const entries = Object.entries(attrs)
  out.u16(entries.length)
  for (const [key, value] of entries) {
    nameText.write(out, key)
    valueText.write(out, value)
  }
  out.u32(children.length)
  for (const child of children) {
    out.u8(typeof child === 'string' ? 0 : 1)
    if (typeof child === 'string') valueText.write(out, child)
    else write(out, child, ns, depth + 1)
  }
}

function read(from: Reader, outerNs: string, depth: number): Element {
  if (depth > limits.xmppKeptDepthMax) throw new MyceliumError('too-large', { depth })
  const name = nameText.read(from)
  const isOuterNs = from.u8() === 1
  const ns = isOuterNs ? outerNs : nameText.read(from)
  const attrs: Record<string, string> = {}
  for (let left = from.u16(); left > 0; left -= 1) {
    const key = nameText.read(from)
    if (!isAttributeName(key) || key === 'xmlns') throw new MyceliumError('malformed', { at: from.position })
    attrs[key] = valueText.read(from)
  }
  if (!ncName.test(name)) throw new MyceliumError('malformed', { at: from.position })
  const children: Node[] = []
  for (let left = from.u32(); left > 0; left -= 1)
    children.push(from.u8() === 0 ? valueText.read(from) : read(from, ns, depth + 1))
  return { name, ns, attrs, children }
}

export const elementCodec: Codec<Element> = {
  write: (out, element) => write(out, element, '', 0),
  read: (from) => read(from, '', 0),
}

/** @throws `too-large` */
export const encodeElement = (element: Element): Uint8Array => encode(elementCodec, element)

/** @returns `undefined` for what is none */
export function decodeElement(bytes: Uint8Array): Element | undefined {
  try {
    return decode(elementCodec, bytes)
  } catch (error) {
    if (error instanceof MyceliumError) return undefined
    throw error
  }
}

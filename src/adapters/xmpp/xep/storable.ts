/** What a program may have kept: one element within bounds. */
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { encodeElement } from '../element-codec.ts'
import type { Element } from '../element.ts'
import { StanzaError } from '../stanza-error.ts'

/** @throws StanzaError `not-acceptable` for what is too large or nested too deeply */
export function storable(element: Element): Element {
  try {
    if (encodeElement(element).length <= limits.xmppKeptElementBytesMax) return element
  } catch (error) {
    if (!(error instanceof MyceliumError)) throw error
  }
  throw new StanzaError(
    'not-acceptable',
    `What is kept has at most ${limits.xmppKeptElementBytesMax / 1024} KB, and ${limits.xmppKeptDepthMax} elements in each other.`,
  )
}

/** Elements for properties: such as come back the same when they are written and read. */
import fc from 'fast-check'
import { type Element, el, type Node } from '../../../src/adapters/xmpp/element.ts'

export { el }

const name = fc.stringMatching(/^[a-z][a-z\d-]{0,8}$/).filter((text) => !text.startsWith('xml'))
const words = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  // eslint-disable-next-line no-control-regex
  .filter((text) => text.isWellFormed() && !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text))

const { element } = fc.letrec<{ element: Element }>((tie) => ({
  element: fc
    .tuple(
      name,
      fc.constantFrom('jabber:client', 'urn:example:a', "urn:example:'&<b"),
      fc.dictionary(name, words, { maxKeys: 3 }),
      fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constant<readonly Node[]>([]),
        words.map((text): readonly Node[] => [text]),
        fc.array(tie('element'), { maxLength: 3 }),
      ),
    )
    .map(([local, ns, attrs, children]) => ({ name: local, ns, attrs: { ...attrs }, children })),
}))

/** A stanza. */
export const parsedBack: fc.Arbitrary<Element> = element.map((one) => ({ ...one, ns: 'jabber:client' }))

/** Data forms (XEP-0004), as far as rooms have them. */
import { child, childrenNamed, el, type Element, textOf } from '../../element.ts'
import { formNs } from './namespaces.ts'

export const form = (type: 'form' | 'result', formType: string, fields: readonly Element[]): Element =>
  el(
    `x ${formNs}`,
    { type },
    el(`field ${formNs}`, { var: 'FORM_TYPE', type: 'hidden' }, el(`value ${formNs}`, {}, formType)),
    fields,
  )

type Value = string | number | boolean

const written = (value: Value): string => (typeof value === 'boolean' ? (value ? '1' : '0') : String(value))

export const valueOf = (name: string, value: Value): Element =>
  el(`field ${formNs}`, { var: name }, el(`value ${formNs}`, {}, written(value)))

/** For a person to fill in. @param options of a list, by their values */
export const fieldOf = (
  name: string,
  {
    label,
    type,
    value,
    options = [],
  }: {
    readonly label: string
    readonly type: 'boolean' | 'text-single' | 'list-single'
    readonly value: Value
    readonly options?: readonly (readonly [value: string, label: string])[]
  },
): Element =>
  el(
    `field ${formNs}`,
    { var: name, type, label },
    el(`value ${formNs}`, {}, written(value)),
    options.map(([option, shown]) => el(`option ${formNs}`, { label: shown }, el(`value ${formNs}`, {}, option))),
  )

/** What a submitted form says, by field; the first value of each. */
export function submitted(x: Element): ReadonlyMap<string, string> {
  return new Map(
    childrenNamed(x, `field ${formNs}`).flatMap((field): readonly [string, string][] => {
      const value = child(field, `value ${formNs}`)
      return field.attrs.var === undefined || value === undefined ? [] : [[field.attrs.var, textOf(value)]]
    }),
  )
}

/** xs:boolean; `undefined` for what is none. */
export const readBoolean = (text: string): boolean | undefined =>
  text === '1' || text === 'true' ? true : text === '0' || text === 'false' ? false : undefined

/** Data forms (XEP-0004): what a person is asked, what they answered, and tables of what there is. */
import { child, childrenNamed, type Element, el, textOf } from './element.ts'

export const formNs = 'jabber:x:data'

export interface Field {
  readonly name: string
  readonly label: string
  readonly type:
    | 'boolean'
    | 'fixed'
    | 'hidden'
    | 'jid-multi'
    | 'list-single'
    | 'text-multi'
    | 'text-private'
    | 'text-single'
  /** One for each line of a text-multi, or each JID. */
  readonly values?: readonly string[]
  readonly isRequired?: boolean
  /** Of a list. */
  readonly options?: readonly (readonly [value: string, label: string])[]
}

export interface Form {
  readonly title: string
  readonly instructions: string
  readonly fields: readonly Field[]
}

const part = (name: string, text: string): Element => el(`${name} ${formNs}`, {}, text)
const valuesOf = (values: readonly string[]): readonly Element[] => values.map((value) => part('value', value))

const written = ({ name, label, type, values = [], isRequired = false, options = [] }: Field): Element =>
  el(
    `field ${formNs}`,
    { var: type === 'fixed' ? undefined : name, type, label: label === '' ? undefined : label },
    isRequired ? el(`required ${formNs}`) : undefined,
    valuesOf(values),
    options.map(([value, shown]) => el(`option ${formNs}`, { label: shown }, part('value', value))),
  )

/** @param type `form` to be filled in, `result` to be read */
export const writeForm = (type: 'form' | 'result', { title, instructions, fields }: Form): Element =>
  el(
    `x ${formNs}`,
    { type },
    part('title', title),
    instructions === '' ? undefined : part('instructions', instructions),
    fields.map(written),
  )

/** XEP-0004 §3.4. @param rows with a value for each column */
export function writeTable(
  title: string,
  columns: readonly (readonly [name: string, label: string])[],
  rows: readonly (readonly string[])[],
): Element {
  const header = columns.map(([name, label]) => el(`field ${formNs}`, { var: name, label, type: 'text-single' }))
  const items = rows.map((row) => {
    const fields = columns.map(([name], index) => el(`field ${formNs}`, { var: name }, valuesOf([row[index] ?? ''])))
    return el(`item ${formNs}`, {}, fields)
  })
  return el(`x ${formNs}`, { type: 'result' }, part('title', title), el(`reported ${formNs}`, {}, header), items)
}

/** Values by field; a text-multi's lines joined. */
export type Given = ReadonlyMap<string, string>

/** Of a submitted form; `undefined` when there is none, or it was cancelled. */
export function readForm(parent: Element): Given | undefined {
  const form = child(parent, `x ${formNs}`)
  if (form?.attrs.type !== 'submit') return undefined
  return new Map(
    childrenNamed(form, 'field').flatMap((field) => {
      const name = field.attrs.var
      const values = childrenNamed(field, 'value').map(textOf)
      return name === undefined ? [] : [[name, values.join('\n')] as const]
    }),
  )
}

/** xs:boolean; `undefined` for what is none. */
export function readBoolean(text: string | undefined): boolean | undefined {
  if (text === '1' || text === 'true') return true
  return text === '0' || text === 'false' ? false : undefined
}

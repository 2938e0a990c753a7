/** What a node is like (XEP-0060 §16.4.3): its configuration, as it is kept, and as forms say it. */
import { bool, type Codec, record, text, u16, u8 } from '../../../../core/codec.ts'
import { MyceliumError } from '../../../../core/errors.ts'
import { limits } from '../../../../core/limits.ts'
import { childrenNamed, type Element, el, textOf } from '../../element.ts'
import { StanzaError } from '../../stanza-error.ts'
import { formNs } from '../disco.ts'

/** Who may see a node: contacts for the first two; nobody else but the account itself for the others. */
export const accessModels = ['presence', 'open', 'whitelist', 'authorize'] as const
export type AccessModel = (typeof accessModels)[number]

const sendLastModels = ['on_sub_and_presence', 'on_sub', 'never'] as const
type SendLast = (typeof sendLastModels)[number]

export interface NodeConfig {
  readonly access: AccessModel
  readonly maxItems: number
  readonly persists: boolean
  readonly sendLast: SendLast
  readonly notifiesRetract: boolean
  readonly notifiesDelete: boolean
  readonly title: string
}

/** XEP-0163 §3; one item, as `singleton` nodes have. */
export const defaultConfig: NodeConfig = {
  access: 'presence',
  maxItems: 1,
  persists: true,
  sendLast: 'on_sub_and_presence',
  notifiesRetract: true,
  notifiesDelete: true,
  title: '',
}

/** May contacts see it? */
export const isShown = ({ access, persists }: NodeConfig): boolean =>
  persists && (access === 'presence' || access === 'open')

const oneOf = <const T extends string>(values: readonly T[]): Codec<T> => ({
  write: (out, value) => out.u8(values.indexOf(value)),
  read: (from) => {
    const value = values[u8.read(from)]
    if (value === undefined) throw new MyceliumError('malformed', { at: from.position })
    return value
  },
})

/** ◆ */
export const configCodec: Codec<NodeConfig> = record<NodeConfig>({
  access: oneOf(accessModels),
  maxItems: u16,
  persists: bool,
  sendLast: oneOf(sendLastModels),
  notifiesRetract: bool,
  notifiesDelete: bool,
  title: text(limits.xmppNameOctetsMax),
})

const prefix = 'pubsub#'

interface Field {
  readonly type: 'list-single' | 'text-single' | 'boolean'
  readonly options?: readonly string[]
  readonly say: (config: NodeConfig) => string
  /** @returns `undefined` for a value that it cannot have */
  readonly read: (value: string) => Partial<NodeConfig> | undefined
}

const flag = (say: (config: NodeConfig) => boolean, read: (value: boolean) => Partial<NodeConfig>): Field => ({
  type: 'boolean',
  say: (config) => (say(config) ? '1' : '0'),
  read: (value) => (/^(?:0|1|true|false)$/.test(value) ? read(value === '1' || value === 'true') : undefined),
})

const fields: Readonly<Record<string, Field>> = {
  access_model: {
    type: 'list-single',
    options: accessModels,
    say: ({ access }) => access,
    read: (value) => {
      const access = accessModels.find((model) => model === value)
      return access === undefined ? undefined : { access }
    },
  },
  max_items: {
    type: 'text-single',
    say: ({ maxItems }) => String(maxItems),
    read: (value) => {
      if (value === 'max') return { maxItems: limits.xmppNodeItemsMax }
      if (!/^\d{1,9}$/.test(value)) return undefined
      return { maxItems: Math.min(Math.max(1, Number(value)), limits.xmppNodeItemsMax) }
    },
  },
  persist_items: flag(
    ({ persists }) => persists,
    (persists) => ({ persists }),
  ),
  send_last_published_item: {
    type: 'list-single',
    options: sendLastModels,
    say: ({ sendLast }) => sendLast,
    read: (value) => {
      const sendLast = sendLastModels.find((model) => model === value)
      return sendLast === undefined ? undefined : { sendLast }
    },
  },
  notify_retract: flag(
    ({ notifiesRetract }) => notifiesRetract,
    (notifiesRetract) => ({ notifiesRetract }),
  ),
  notify_delete: flag(
    ({ notifiesDelete }) => notifiesDelete,
    (notifiesDelete) => ({ notifiesDelete }),
  ),
  title: {
    type: 'text-single',
    say: ({ title }) => title,
    read: (title) => (title.length * 4 <= limits.xmppNameOctetsMax ? { title } : undefined),
  },
}

/**
 * What a form of configuration or of publish-options asks for. Fields that are not known here are passed over, as XEP-0060
 * §8.2.4 lets a service do.
 * @throws StanzaError `not-acceptable` for a value that a node cannot have
 */
export function readConfig(form: Element): Partial<NodeConfig> {
  let asked: Partial<NodeConfig> = {}
  for (const field of childrenNamed(form, 'field')) {
    const name = field.attrs.var ?? ''
    const known = name.startsWith(prefix) ? fields[name.slice(prefix.length)] : undefined
    const [value, ...more] = childrenNamed(field, 'value').map(textOf)
    if (known === undefined || value === undefined) continue
    const read = more.length > 0 ? undefined : known.read(value)
    if (read === undefined) throw new StanzaError('not-acceptable', `${name} cannot be that here`)
    asked = { ...asked, ...read }
  }
  return asked
}

/** Whether a node is as the options demand (XEP-0060 §7.1.5). */
export const meets = (config: NodeConfig, asked: Partial<NodeConfig>): boolean =>
  Object.entries(asked).every(([name, value]) => config[name as keyof NodeConfig] === value)

const formField = (name: string, type: string, value: string, options: readonly string[] = []): Element =>
  el(
    `field ${formNs}`,
    { var: name, type },
    el(`value ${formNs}`, {}, value),
    options.map((option) => el(`option ${formNs}`, {}, el(`value ${formNs}`, {}, option))),
  )

export const configForm = (config: NodeConfig): Element =>
  el(
    `x ${formNs}`,
    { type: 'form' },
    formField('FORM_TYPE', 'hidden', 'http://jabber.org/protocol/pubsub#node_config'),
    Object.entries(fields).map(([name, { type, options, say }]) =>
      formField(prefix + name, type, say(config), options),
    ),
  )

/** What a node of the service is like (XEP-0060 §16.4.3): as it is kept, and as forms say it. */
import { bool, type Codec, record, text, u16, u8 } from '../../../../core/codec.ts'
import { MyceliumError } from '../../../../core/errors.ts'
import { limits } from '../../../../core/limits.ts'
import { type Field, type Given, readBoolean } from '../../data-form.ts'
import { StanzaError } from '../../stanza-error.ts'

/** Who may subscribe and read: all accounts here, those that see the owner's presence, or those on its list. */
const accessModels = ['open', 'presence', 'whitelist'] as const
/** Who may publish: owners and publishers, subscribers too, or everybody who may read. */
const publishModels = ['publishers', 'subscribers', 'open'] as const

export interface NodeConfig {
  readonly access: (typeof accessModels)[number]
  readonly publish: (typeof publishModels)[number]
  readonly maxItems: number
  readonly persists: boolean
  /** What is published is told with what is in it. */
  readonly delivers: boolean
  readonly notifiesRetract: boolean
  readonly notifiesDelete: boolean
  readonly title: string
}

export const defaultConfig: NodeConfig = {
  access: 'open',
  publish: 'publishers',
  maxItems: 100,
  persists: true,
  delivers: true,
  notifiesRetract: true,
  notifiesDelete: true,
  title: '',
}

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
  publish: oneOf(publishModels),
  maxItems: u16,
  persists: bool,
  delivers: bool,
  notifiesRetract: bool,
  notifiesDelete: bool,
  title: text(limits.xmppNameOctetsMax),
})

const switches = [
  ['persist_items', 'Items stay', 'persists'],
  ['deliver_payloads', 'Subscribers are told what is in an item', 'delivers'],
  ['notify_retract', 'Subscribers hear of what is taken back', 'notifiesRetract'],
  ['notify_delete', 'Subscribers hear when the node goes', 'notifiesDelete'],
] as const

const nodeConfigForm = 'http://jabber.org/protocol/pubsub#node_config'

export const fieldsOf = (config: NodeConfig): readonly Field[] => [
  { name: 'FORM_TYPE', label: '', type: 'hidden', values: [nodeConfigForm] },
  // nodes of nodes (XEP-0248) there are none
  {
    name: 'pubsub#node_type',
    label: 'What it holds',
    type: 'list-single',
    values: ['leaf'],
    options: [['leaf', 'Items']],
  },
  { name: 'pubsub#title', label: 'Title', type: 'text-single', values: [config.title] },
  {
    name: 'pubsub#access_model',
    label: 'Who may subscribe and read',
    type: 'list-single',
    values: [config.access],
    options: accessModels.map((one) => [one, one] as const),
  },
  {
    name: 'pubsub#publish_model',
    label: 'Who may publish',
    type: 'list-single',
    values: [config.publish],
    options: publishModels.map((one) => [one, one] as const),
  },
  { name: 'pubsub#max_items', label: 'Items at most', type: 'text-single', values: [String(config.maxItems)] },
  ...switches.map(([name, label, key]): Field => ({
    name: `pubsub#${name}`,
    label,
    type: 'boolean',
    values: [config[key] ? '1' : '0'],
  })),
]

/** Fields that are not known here are passed over (XEP-0060 §8.2.4). @throws StanzaError `not-acceptable` */
export function changed(before: NodeConfig, given: Given): NodeConfig {
  const one = <T extends string>(field: string, was: T, known: readonly T[]): T => {
    const value = given.get(`pubsub#${field}`)
    const found = value === undefined ? was : known.find((it) => it === value)
    if (found === undefined) throw notHere(field)
    return found
  }
  const isOn = (field: string, was: boolean): boolean => {
    const value = given.get(`pubsub#${field}`)
    const read = value === undefined ? was : readBoolean(value)
    if (read === undefined) throw notHere(field)
    return read
  }
  const title = given.get('pubsub#title') ?? before.title
  one('node_type', 'leaf', ['leaf'])
  if (Buffer.byteLength(title) > limits.xmppNameOctetsMax) throw notHere('title')
  return {
    access: one('access_model', before.access, accessModels),
    publish: one('publish_model', before.publish, publishModels),
    maxItems: countOf(given.get('pubsub#max_items'), before.maxItems),
    ...(Object.fromEntries(switches.map(([name, , key]) => [key, isOn(name, before[key])])) as Record<
      (typeof switches)[number][2],
      boolean
    >),
    title,
  }
}

function countOf(text: string | undefined, before: number): number {
  if (text === undefined) return before
  if (text === 'max') return limits.xmppNodeItemsMax
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1) throw notHere('max_items')
  return Math.min(Number(text), limits.xmppNodeItemsMax)
}

const notHere = (field: string): StanzaError => new StanzaError('not-acceptable', `pubsub#${field} cannot be that here`)

/** How a command talks with a person: forms until it is done. */
import type { Asked, OperationContext, operationParams, Operations, Results } from '../../../../core/control.ts'
import type { Form, Given } from '../../data-form.ts'
import type { Element } from '../../element.ts'

/** The verbs of the command line that commands use. */
export const commandVerbs = [
  'accountShow',
  'chatSettings',
  'contactAccept',
  'contactBlock',
  'contactList',
  'contactRemove',
  'contactRename',
  'contactRequests',
  'contactUnblock',
  'contactVerify',
  'groupAccept',
  'groupCreate',
  'groupInvite',
  'groupLeave',
  'groupList',
  'inviteAccept',
  'inviteCreate',
] as const satisfies readonly (keyof typeof operationParams)[]
export type CommandVerb = (typeof commandVerbs)[number]
export type CommandOperations = Pick<Operations, CommandVerb>

/** What a command does is done as one account. @throws MyceliumError; `malformed` for what its form cannot mean */
export type Act = <V extends CommandVerb>(
  verb: V,
  params: Omit<Asked<V>, 'account'>,
  context?: Partial<OperationContext>,
) => Promise<Results[V]>

export type Step =
  | { readonly kind: 'form'; readonly form: Form; readonly next: (given: Given) => Promise<Step> }
  | { readonly kind: 'done'; readonly note: string; readonly result?: Element }

export interface Command {
  /** XEP-0050: the node by which it is called. */
  readonly node: string
  readonly name: string
  begin(act: Act): Promise<Step>
}

export const done = (note: string, result?: Element): Step =>
  result === undefined ? { kind: 'done', note } : { kind: 'done', note, result }

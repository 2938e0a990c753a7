/** One side of the fault run, to be killed: submits numbered mails, says which are acknowledged, and shows its mailboxes. */
import type { Log, LogFields } from '../../src/core/ambient.ts'
import { unreachable } from '../../src/core/errors.ts'
import type { Address, ContentId } from '../../src/core/ids.ts'
import { unreliable, type Faults } from '../../test/support/unreliable-overlay.ts'
import { serveParent, tellParent } from './child.ts'
import type { Shown } from './ledger.ts'
import { composeMail, numberOf } from './numbered-mail.ts'
import { openPeerNode } from './peer-node.ts'

export type FaultsRequest =
  | { readonly do: 'invite' }
  | { readonly do: 'accept'; readonly link: string }
  | { readonly do: 'port' }
  /** Submits `count` mails at once; each is told of when it is acknowledged. */
  | { readonly do: 'submit'; readonly first: number; readonly count: number }
  /** Numbers of the copies in Sent and message ids in the queue. */
  | { readonly do: 'outgoing' }
  /** What a mail client would show. */
  | { readonly do: 'incoming' }
  | { readonly do: 'waiting' }

export type FaultsEvent =
  | { readonly kind: 'acknowledged'; readonly number: number; readonly id: string }
  | { readonly kind: 'shown'; readonly mail: Shown }
  | { readonly kind: 'log'; readonly event: string }

export interface Waiting {
  readonly count: number
  readonly why: string
}
export interface Outgoing {
  readonly sent: readonly number[]
  readonly queued: readonly string[]
}

const [home, name, port, faults] = process.argv.slice(2) as [string, string, string, string]
const tell: (event: FaultsEvent) => void = tellParent
const told = (event: string, fields: LogFields = {}): void =>
  tell({ kind: 'log', event: [event, fields['code'] ?? fields['name'] ?? ''].join(' ').trim() })
const log: Log = { debug: () => {}, info: told, warn: told, error: told }
const { knowledge, node, account, invite, accept } = await openPeerNode({
  home,
  name,
  port: Number(port),
  log,
  wrap: (overlay) => unreliable(overlay, JSON.parse(faults) as Faults),
})
const { mailboxes } = knowledge
const self = account.identity

async function read(content: ContentId): Promise<number | undefined> {
  const inline = mailboxes.readInline(self, content)
  return numberOf(inline ?? Buffer.concat(await Array.fromAsync(mailboxes.read(self, content))))
}

async function shown(mailbox: string): Promise<readonly Shown[]> {
  const info = mailboxes.byName(self, mailbox)
  if (info === undefined) return []
  const columns = mailboxes.columns(self, info.id)
  const rows = Array.from({ length: columns.count }, (_, at) => ({
    place: `${mailbox} ${info.uidValidity}/${columns.uidAt(at)}`,
    content: columns.contentAt(at),
  }))
  const mails: Shown[] = []
  for (const { place, content } of rows) mails.push({ place, number: await read(content) })
  return mails
}

/** The inviter knows the other side once it has been met. */
async function contactAddress(): Promise<Address> {
  for (;;) {
    const address = knowledge.contacts.list(self)[0]?.addresses[0]?.address
    if (address !== undefined) return address
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function submit(number: number): Promise<void> {
  const to = await contactAddress()
  const { id } = await node.delivery.submitter.submit(self, {
    from: account.address,
    recipients: [{ address: to }],
    body: composeMail(number, { from: account.address, to }),
  })
  tell({ kind: 'acknowledged', number, id })
}

mailboxes.watch(self, ({ event }) => {
  if (event.kind !== 'appended') return
  const info = mailboxes.byId(self, event.mailbox)
  if (info === undefined || info.specialUse === '\\Sent') return
  const columns = mailboxes.columns(self, info.id)
  for (const uid of event.uids) {
    const place = `${info.name} ${info.uidValidity}/${uid}`
    void read(columns.contentAt(columns.indexOf(uid))).then((number) =>
      tell({ kind: 'shown', mail: { place, number } }),
    )
  }
})

/** How many wait, and for the last of them, what for. */
function waiting(): Waiting {
  const all = node.delivery.waiting(self)
  const last = all.at(-1)
  const { state, attempts, lastError } = last?.courier ?? { state: 'no courier', attempts: 0, lastError: undefined }
  const why = `${state} ${attempts} ${lastError ?? ''} ${last?.inFlight === true ? 'in flight' : 'not sent'}`
  return { count: all.length, why: last === undefined ? 'nothing' : why }
}

async function answer(request: FaultsRequest): Promise<unknown> {
  switch (request.do) {
    case 'invite':
      return await invite()
    case 'accept':
      await accept(request.link)
      return null
    case 'port':
      return Number(/\/tcp\/(\d+)/.exec(node.overlay.listeners()[0]!)![1])
    case 'submit':
      await Promise.all(Array.from({ length: request.count }, (_, at) => submit(request.first + at)))
      return null
    case 'outgoing': {
      const queued = node.delivery.waiting(self).map(({ ref }) => String(ref.message))
      const sent = mailboxes.bySpecialUse(self, '\\Sent')!.name
      return { sent: (await shown(sent)).flatMap(({ number }) => number ?? []), queued } satisfies Outgoing
    }
    case 'incoming':
      return [...(await shown('INBOX')), ...(await shown('Requests'))]
    case 'waiting':
      return waiting()
    default:
      return unreachable(request)
  }
}

serveParent(answer)

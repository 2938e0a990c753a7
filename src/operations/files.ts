/** Files of conversations from the command line: sent, waited for, and written out. */
import type { OwnAccount } from '../core/account/own-account.ts'
import type { Operations, OperationContext } from '../core/control.ts'
import type { FileView } from '../core/control-views.ts'
import type { ShownMessage } from '../core/conversation/view.ts'
import { idOfPartner } from '../core/conversation/conversations.ts'
import { fileStanding } from '../core/delivery/file-rows.ts'
import { MyceliumError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { accountOf, liveOf, type OperationParts } from './context.ts'
import { nameOfPartner, partnerOf, say } from './chats.ts'
import { viewPerson } from './people.ts'

export function fileOperations(parts: OperationParts): Pick<Operations, 'fileSend' | 'fileGet' | 'fileList'> {
  const { conversations } = parts.knowledge
  return {
    async fileSend({ account: named, to, name, mediaType, bytes, text }, { input, signal }) {
      const account = accountOf(parts, named)
      const { files } = liveOf(parts).node.delivery
      const partner = partnerOf(parts, account, to)
      using prepared = await files.prepare(account.identity, input ?? nothing(), {
        name,
        mediaType,
        signal,
        ...(bytes === undefined ? {} : { bytes }),
      })
      const words = text === undefined ? [] : [{ kind: 'text', text } as const]
      const { id } = await say(parts, account, partner, { parts: [...words, prepared.part] })
      return viewFile(parts, account, conversations.message(account.identity, id)!)
    },
    async fileGet({ account: named, message: beginning }, context) {
      const account = accountOf(parts, named)
      const message = conversations.byPrefix(account.identity, beginning)
      await here(parts, account, message, context)
      for await (const piece of liveOf(parts).node.delivery.files.read(account.identity, message.id)) {
        context.signal.throwIfAborted()
        await context.output?.(piece)
      }
      return viewFile(parts, account, conversations.message(account.identity, message.id)!)
    },
    async fileList({ account: named, with: whom }) {
      const account = accountOf(parts, named)
      const only = whom === undefined ? undefined : idOfPartner(account.identity, partnerOf(parts, account, whom))
      return conversations
        .list(account.identity)
        .filter(({ id }) => only === undefined || id === only)
        .flatMap(({ id }) => conversations.page(account.identity, id, { limit: limits.filesListedMessages }))
        .filter(({ file }) => file !== undefined)
        .sort((a, b) => a.sentAtMs - b.sentAtMs)
        .map((message) => viewFile(parts, account, message))
    },
  }
}

const lookMs = 250

/** Waits until it is stored here, and has what was not fetched fetched. @throws `mailbox-full`, `message-too-large`, `no-such-message` */
async function here(
  parts: OperationParts,
  account: OwnAccount,
  { id }: ShownMessage,
  { signal, progress }: OperationContext,
): Promise<void> {
  const { files } = liveOf(parts).node.delivery
  const standing = () => {
    const found = files.standing(account.identity, id)
    if (found === undefined) throw new MyceliumError('no-such-message')
    return found
  }
  if (standing().state === 'refused' || standing().state === 'absent') await files.fetch(account.identity, id)
  for (let now = standing(); ; now = standing()) {
    progress({ step: 'fetching', done: now.bytes, total: now.bytesTotal })
    if (now.state !== 'coming') break
    await new Promise((resolve) => setTimeout(resolve, lookMs))
    signal.throwIfAborted()
  }
  if (standing().state !== 'here') throw new MyceliumError('no-such-message')
}

function viewFile(parts: OperationParts, account: OwnAccount, message: ShownMessage): FileView {
  const { conversations, store } = parts.knowledge
  const { part } = message.file!
  const standing = store.read((tx) => fileStanding(tx, account.identity, message.id, part.content))
  const progress = parts.live?.node.delivery.files.standing(account.identity, message.id)
  const partner = conversations.get(account.identity, message.conversation)!.partner
  return {
    message: message.id,
    with: nameOfPartner(parts, account, partner),
    author: viewPerson(parts, account, message.author),
    sentAtMs: message.sentAtMs,
    name: part.name,
    mediaType: part.mediaType,
    size: standing.bytesTotal,
    state: standing.state,
    reason: standing.reason,
    bytes: progress?.bytes ?? standing.bytes,
    bytesPerSecond: progress?.bytesPerSecond ?? 0,
  }
}

async function* nothing(): AsyncGenerator<never> {}

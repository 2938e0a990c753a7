/** The process behind file-peer.ts: sends a file to its only contact, takes what comes, and tells of each chunk that it gives out. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Overlay } from '../../src/core/delivery/ports.ts'
import { unreachable } from '../../src/core/errors.ts'
import type { MessageId } from '../../src/core/ids.ts'
import { serveParent, tellParent } from '../support/child.ts'
import { openPeerNode } from '../support/peer-node.ts'
import type { FilePeerEvent, FilePeerRequest } from './file-peer.ts'

const [home, name] = process.argv.slice(2) as [string, string]
const indexAt = 32
const tell = (event: FilePeerEvent): void => tellParent(event)

/** Every chunk that is given out is told of before it leaves: what is given twice was wasted once. */
const counting = (overlay: Overlay): Overlay => ({
  self: overlay.self,
  locators: () => overlay.locators(),
  listeners: () => overlay.listeners(),
  peers: () => overlay.peers(),
  ask: async (...asked) => await overlay.ask(...asked),
  link: async (...to) => await overlay.link(...to),
  serve: (handlers) =>
    overlay.serve({
      ...handlers,
      answer: {
        ...handlers.answer,
        async blob(request, context) {
          const answer = await handlers.answer.blob(request, context)
          if (answer !== undefined) tell({ given: Buffer.from(request).readUInt32BE(indexAt) })
          return answer
        },
      },
    }),
  [Symbol.asyncDispose]: async () => await overlay[Symbol.asyncDispose](),
})

const { knowledge, node, account, invite, accept } = await openPeerNode({ home, name, wrap: counting })
const { conversations } = knowledge
const { files, chats } = node.delivery

conversations.watch((_, { event }) => {
  if (event.kind === 'delivered' || event.kind === 'failed') tell({ fate: event.kind, message: event.message })
  if (event.kind === 'message') tell({ shown: event.message })
})

async function send(path: string): Promise<{ readonly id: MessageId; readonly preparedMs: number }> {
  const contact = knowledge.contacts.list(account.identity)[0]!
  const startedAt = performance.now()
  const { size } = await stat(path)
  using prepared = await files.prepare(account.identity, createReadStream(path, { highWaterMark: 1024 * 1024 }), {
    name: path,
    mediaType: 'application/octet-stream',
    bytes: size,
    signal: AbortSignal.any([]),
  })
  const preparedMs = performance.now() - startedAt
  const { id } = await chats.say(account.identity, contact.identity, { parts: [prepared.part] })
  return { id, preparedMs }
}

async function hashOf(message: MessageId): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of files.read(account.identity, message)) hash.update(piece)
  return hash.digest('hex')
}

async function answer(request: FilePeerRequest): Promise<unknown> {
  switch (request.do) {
    case 'pid':
      return process.pid
    case 'invite':
      return await invite()
    case 'accept':
      await accept(request.link)
      return null
    case 'say':
      await chats.say(account.identity, knowledge.contacts.list(account.identity)[0]!.identity, {
        parts: [{ kind: 'text', text: request.text }],
      })
      return null
    case 'send':
      return await send(request.path)
    case 'fate':
      return conversations.message(account.identity, request.message)?.fate
    case 'standing':
      return files.standing(account.identity, request.message)
    case 'hash':
      return await hashOf(request.message)
    default:
      return unreachable(request)
  }
}

serveParent(answer)

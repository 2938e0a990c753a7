/** What of XMPP goes over HTTP: streams by WebSocket and BOSH, where to find them, and files. */
import type { Ambient } from '../../../core/ambient.ts'
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import type { HttpRoute } from '../../wire/http.ts'
import type { Transport } from '../transport.ts'
import { fileRoute } from '../uploads/file-route.ts'
import type { FileUrls } from '../uploads/file-urls.ts'
import { BoshSessions } from './bosh/sessions.ts'
import { hostMetaRoutes } from './host-meta.ts'
import { webSocketRoute } from './web-socket.ts'

export interface XmppWebOptions {
  /** Resolves when the stream is done. @throws what ended it early */
  readonly serve: (transport: Transport) => Promise<void>
  readonly fileUrls: FileUrls
  /** Of pages of other sites that may log in, beside the listeners' own: `https://chat.example`. */
  readonly origins: readonly string[]
}

export interface XmppWeb extends AsyncDisposable {
  readonly routes: readonly HttpRoute[]
  /** Streams open now. */
  readonly connections: number
}

interface Interruptible extends Transport {
  /** Whoever reads next is told that the gateway goes. */
  interrupt(): void
}

export function openXmppWeb({ serve, fileUrls, origins }: XmppWebOptions, ambient: Ambient): XmppWeb {
  const open = new Map<Interruptible, Promise<void>>()
  let isClosing = false

  const take = (transport: Interruptible): void => {
    if (isClosing) return transport.destroy()
    open.set(transport, run(transport))
  }

  async function run(transport: Interruptible): Promise<void> {
    try {
      await serve(transport)
    } catch (error) {
      const code = error instanceof MyceliumError ? error.code : 'bug'
      if (code === 'bug')
        ambient.log.error('xmpp.failed', { error: error instanceof Error ? error.name : typeof error })
      else ambient.log.debug('xmpp.dropped', { code })
      transport.destroy()
    } finally {
      open.delete(transport)
    }
  }

  return {
    routes: [
      webSocketRoute(take, origins),
      new BoshSessions(take, ambient).route(origins),
      ...hostMetaRoutes(origins),
      fileRoute(fileUrls, origins),
    ],
    get connections() {
      return open.size
    },
    async [Symbol.asyncDispose]() {
      isClosing = true
      for (const transport of open.keys()) transport.interrupt()
      const cut = setTimeout(() => {
        for (const transport of open.keys()) transport.destroy()
      }, limits.listenerDrainMs)
      await Promise.all(open.values())
      clearTimeout(cut)
    },
  }
}

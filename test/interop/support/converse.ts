/** Converse.js in a browser, from a small page of its own server: the origin that a gateway has to let in. */
import { createReadStream } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { Chromium } from './chromium.ts'

const dist = join(import.meta.dirname, '../../../node_modules/converse.js/dist')
const types: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
}

/** Where the page comes from; `/?PORT` is Converse for the gateway whose HTTP listener has that port. */
export class ConversePage implements AsyncDisposable {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async open(): Promise<ConversePage> {
    const server = createServer((request, response) => {
      const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
      if (pathname === '/') {
        response.setHeader('content-type', 'text/html; charset=utf-8')
        response.end(page(Number(search.slice(1))))
        return
      }
      response.setHeader('content-type', types[extname(pathname)] ?? 'application/octet-stream')
      const file = createReadStream(join(dist, normalize(pathname)))
      file.on('error', () => response.writeHead(404).end())
      file.pipe(response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new ConversePage(server)
  }

  get origin(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

const page = (httpPort: number): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Converse</title>
<link rel="stylesheet" href="/converse.min.css">
<script src="/libomemo.esm.min.js" type="module"></script>
</head>
<body class="converse-fullscreen">
<script>
{
  const frames = (window.frames_ = [])
  const send = WebSocket.prototype.send
  WebSocket.prototype.send = function (d) { if (!this.hooked) { this.hooked = true; this.addEventListener('message', (e) => frames.push('< ' + e.data)) } frames.push('> ' + d); return send.call(this, d) }
}
</script>
<script type="module">
import '/converse.min.js'
converse.initialize({
  assets_path: '/',
  websocket_url: 'ws://localhost:${httpPort}/xmpp-websocket',
  discover_connection_methods: false,
  i18n: 'en',
  view_mode: 'fullscreen',
  play_sounds: false,
  show_desktop_notifications: 'never',
  default_domain: 'localhost',
})
</script>
</body>
</html>
`

/** One person's Converse. */
export class Converse implements AsyncDisposable {
  readonly browser: Chromium

  private constructor(browser: Chromium) {
    this.browser = browser
  }

  /** Opens the page and logs in by its form. */
  static async logIn(origin: string, httpPort: number, jid: string, password: string): Promise<Converse> {
    const browser = await Chromium.open(`${origin}/?${httpPort}`)
    await browser.type('#converse-login [name="jid"]', jid)
    await browser.type('#converse-login [name="password"]', password)
    await browser.click('#converse-login [type="submit"]')
    return new Converse(browser)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser[Symbol.asyncDispose]()
  }
}

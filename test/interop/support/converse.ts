/** Converse.js in a browser, from a small page of its own server: the origin that a gateway has to let in. */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { Chromium } from './chromium.ts'
import { type FileServer, serveFiles } from './file-server.ts'

const dist = dirname(fileURLToPath(import.meta.resolve('converse.js')))

/** `/?PORT` is Converse for the gateway whose HTTP listener has that port. */
export async function serveConverse(): Promise<FileServer> {
  return await serveFiles(dist, (port) => page(Number(port)))
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

  /** Opens the chat with a contact, by the name in the roster. */
  async openChat(name: string): Promise<void> {
    const { browser } = this
    // the list may move under the pointer while contacts are still coming in
    do await browser.click('converse-roster .contact-name', name)
    while (!(await browser.isSoon('.chat-textarea')))
  }

  /** Writes a message and sends it. */
  async say(text: string): Promise<void> {
    await this.browser.type('.chat-textarea', text)
    await this.browser.press('Enter')
  }

  /** Corrects what was last said here. */
  async correct(text: string): Promise<void> {
    const { browser } = this
    await browser.click('.chat-textarea')
    await browser.press('ArrowUp')
    await browser.sees('.chat-msg.correcting', (texts) => texts.length === 1)
    await browser.value(`document.querySelector('.chat-textarea').select()`)
    await browser.insert(text)
    await browser.press('Enter')
  }

  /** Reacts to the last message, which somebody else said. */
  async react(emoji: string): Promise<void> {
    await this.#choose('reaction')
    await this.browser.click('.reaction-item', emoji)
  }

  /** Answers the last message. */
  async answer(text: string): Promise<void> {
    await this.#choose('reply')
    await this.say(text)
  }

  /** Chooses in the menu of the last message. */
  async #choose(action: 'reaction' | 'reply'): Promise<void> {
    const { browser } = this
    await browser.hover('converse-chat-message:last-of-type .chat-msg__body')
    await browser.click('converse-chat-message:last-of-type .chat-msg__actions button')
    await browser.click(`.dropdown-menu.show .chat-msg__action-${action}`)
  }

  /** Waits until the chat has exactly these messages. */
  async sees(...texts: readonly string[]): Promise<void> {
    await this.browser.sees('.chat-msg__text', (shown) => isDeepStrictEqual(shown, texts))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser[Symbol.asyncDispose]()
  }
}

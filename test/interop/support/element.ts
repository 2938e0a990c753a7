/** The Web UI of Element in a browser, driven by its forms, menus and keys. */
import { join } from 'node:path'
import { Chromium } from './chromium.ts'
import { type FileServer, serveFiles } from './file-server.ts'
import { makeOnDemand } from './made-on-demand.ts'
import type { MatrixLogin } from './matrix-login.ts'

const message = '.mx_RoomView_body .mx_EventTile_body'
const primary = '.mx_Dialog .mx_Dialog_primary'
const isShown = (texts: readonly string[]): boolean => texts.length > 0

/** Where its files come from; more than one person can use them. */
export async function serveElement(): Promise<FileServer> {
  return await serveFiles(join(await makeOnDemand('element'), 'dist'))
}

/** One person's Element. */
export class ElementWeb implements AsyncDisposable {
  readonly browser: Chromium

  private constructor(browser: Chromium) {
    this.browser = browser
  }

  /** Opens the page and logs in by its form; ends when the first sync is shown. */
  static async logIn({ origin }: FileServer, { homeserver, user, password }: MatrixLogin): Promise<ElementWeb> {
    await using undo = new AsyncDisposableStack()
    const browser = undo.use(await Chromium.open(`${origin}/?${encodeURIComponent(homeserver)}#/login`))
    await browser.type('#mx_LoginForm_username', user)
    await browser.type('#mx_LoginForm_password', password)
    await browser.click('.mx_Login_submit')
    const element = new ElementWeb(browser)
    await element.#isIn()
    undo.move()
    return element
  }

  /** Somebody whose other session has keys is asked to verify this one, which can wait. */
  async #isIn(): Promise<void> {
    const { browser } = this
    const skip = '.mx_CompleteSecurity_skip'
    await browser.sees(`.mx_RoomListHeader, ${skip}`, isShown)
    if ((await browser.texts(skip)).length === 0) return
    await browser.click(skip)
    await browser.click('.mx_CompleteSecurity_actionRow .mx_AccessibleButton', 'verify later')
    await browser.sees('.mx_RoomListHeader', isShown)
  }

  /** Names of the rooms in the list, invitations too. */
  async rooms(): Promise<readonly string[]> {
    return await this.browser.texts('.mx_RoomTile_title')
  }

  async openRoom(name: string): Promise<void> {
    await this.browser.click('.mx_RoomTile_title', name)
    await this.browser.sees('.mx_RoomHeader_heading, .mx_RoomPreviewBar', isShown)
  }

  /** @returns once the room is there and open */
  async createRoom(name: string): Promise<void> {
    const { browser } = this
    await browser.click('.mx_RoomListHeader_plusButton')
    await browser.click('.mx_IconizedContextMenu_item', 'New room')
    await browser.type('.mx_CreateRoomDialog_name input', name)
    await browser.click('.mx_CreateRoomDialog_e2eSwitch [role="switch"]')
    await browser.click(primary)
    await browser.sees('.mx_RoomHeader_heading', (texts) => texts.includes(name))
  }

  /** Asks somebody into the open room. */
  async invite(userId: string): Promise<void> {
    await this.say(`/invite ${userId}`)
  }

  /** Opens a chat with somebody. The room is made with the first message in it. */
  async startChat(userId: string): Promise<void> {
    const { browser } = this
    await browser.click('.mx_RoomListHeader_plusButton')
    await browser.click('.mx_IconizedContextMenu_item', 'Start new chat')
    await browser.type('.mx_InviteDialog_editor input', userId)
    await browser.click('.mx_InviteDialog_tile--room', userId)
    await browser.click('.mx_InviteDialog_goButton')
    await browser.sees('.mx_RoomHeader_heading', isShown)
  }

  /** Writes a message in the open room and sends it. */
  async say(text: string): Promise<void> {
    await this.#write('.mx_RoomView_body .mx_SendMessageComposer .mx_BasicMessageComposer_input', text)
  }

  async react(to: string, emoji: string): Promise<void> {
    await this.#act(to, 'React')
    await this.browser.click('.mx_EmojiPicker_quick .mx_EmojiPicker_item', emoji)
  }

  /** Edits a message of one's own. */
  async edit(from: string, to: string): Promise<void> {
    await this.#act(from, 'Edit')
    await this.browser.click('.mx_EditMessageComposer .mx_BasicMessageComposer_input')
    await this.browser.replace(to)
    await this.browser.press('Enter')
  }

  async reply(to: string, text: string): Promise<void> {
    await this.#act(to, 'Reply')
    await this.say(text)
  }

  /** Answers in the thread of a message, which stays open beside the room. */
  async replyInThread(to: string, text: string): Promise<void> {
    await this.#act(to, 'Reply in thread')
    await this.#write('.mx_ThreadView .mx_BasicMessageComposer_input', text)
  }

  async upload(path: string): Promise<void> {
    await this.browser.chooseFile('.mx_RoomView_body .mx_MessageComposer input[type="file"]', path)
    await this.browser.click(primary)
  }

  async redact(text: string): Promise<void> {
    await this.#act(text, 'Options')
    await this.browser.click('.mx_IconizedContextMenu_item', 'Remove')
    await this.browser.click(primary)
  }

  /** Waits until one of the messages of the open room is this one. */
  async sees(text: string): Promise<void> {
    await this.browser.sees(message, (texts) => texts.includes(text))
  }

  async seesReaction(emoji: string): Promise<void> {
    await this.browser.sees('.mx_ReactionsRowButton', (texts) => texts.some((one) => one.startsWith(emoji)))
  }

  /** Waits until a message that answers this one with a quote says that. */
  async seesReply(to: string, text: string): Promise<void> {
    await this.browser.sees('.mx_EventTile', (texts) =>
      texts.some((one) => one.includes(to) && one.includes(`\n${text}`)),
    )
  }

  /** Waits until the newest answer in some thread of the open room is this one. */
  async seesThread(text: string): Promise<void> {
    await this.browser.sees('.mx_ThreadSummary_content', (texts) => texts.includes(text))
  }

  async seesFile(name: string): Promise<void> {
    await this.browser.sees('.mx_MFileBody', (texts) => texts.some((one) => one.startsWith(name)))
  }

  /** Waits until a picture is loaded. @returns its width, pixels */
  async seesPicture(): Promise<number> {
    const picture = 'img.mx_MImageBody_thumbnail'
    await this.browser.sees(picture, isShown)
    return await this.browser.value(
      `document.querySelector(${JSON.stringify(picture)}).decode()
        .then(() => document.querySelector(${JSON.stringify(picture)}).naturalWidth)`,
    )
  }

  async seesRemoved(): Promise<void> {
    await this.browser.sees('.mx_RedactedBody', isShown)
  }

  /** Loads the page anew, as the same session. */
  async reload(): Promise<void> {
    await this.browser.reload()
    await this.#isIn()
  }

  async #write(composer: string, text: string): Promise<void> {
    await this.browser.type(composer, text)
    await this.browser.press('Enter')
  }

  /** Uses the bar that a message shows under the pointer. */
  async #act(on: string, label: string): Promise<void> {
    await this.browser.hover(message, on)
    await this.browser.click(`.mx_RoomView_body .mx_EventTile:hover .mx_MessageActionBar [aria-label="${label}"]`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser[Symbol.asyncDispose]()
  }
}

/**
 * Thunderbird as its user sees it: a folder is opened, a message list is watched, text is typed into the compose
 * window key by key and sent with its button. Only the password and the certificate authority, which a person would
 * enter in dialogs, are put into its stores directly.
 */
import { ComposeWindow } from './compose-window.ts'
import { ThunderbirdProcess } from './thunderbird-process.ts'
import type { MailSettings } from './mail-settings.ts'
import type { Display } from './xvfb.ts'

/** One row of the message list. */
export interface Row {
  readonly subject: string
  readonly author: string
  readonly messageId: string
  readonly read: boolean
  readonly flagged: boolean
  readonly answered: boolean
  /** What the list shows (and a screen reader says) for it; empty while it is scrolled out of sight. */
  readonly shown: string
}

export type FolderKind = 'Inbox' | 'SentMail' | 'Drafts' | 'Trash' | 'Junk' | 'Archive'

export class Thunderbird implements AsyncDisposable {
  readonly #process: ThunderbirdProcess

  private constructor(process: ThunderbirdProcess) {
    this.#process = process
  }

  /** Starts it with one account and logs in by opening the inbox. */
  static async open(display: Display, settings: MailSettings): Promise<Thunderbird> {
    await using parts = new AsyncDisposableStack()
    const process = parts.use(await ThunderbirdProcess.start(display, settings))
    const thunderbird = new Thunderbird(process)
    await thunderbird.#trust(settings)
    await thunderbird.openFolder('Inbox')
    parts.move()
    return thunderbird
  }

  /** Shows a folder in the main window, as a click on it does. */
  async openFolder(kind: FolderKind): Promise<void> {
    await this.#process.until(`folder ${kind}`, 20_000, () =>
      this.#inMainWindow<boolean>(
        `const folder = server().rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags[args[0]])
         if (!folder || !pane().displayFolder) return false
         pane().displayFolder(folder.URI)
         return pane().gFolder?.URI === folder.URI`,
        kind,
      ),
    )
  }

  /** The same for a folder that has a place and no use of its own, such as `Chats/bob`. */
  async openFolderAt(path: string): Promise<void> {
    await this.#process.until(`folder ${path}`, 20_000, () =>
      this.#inMainWindow<boolean>(
        `const folder = server().rootFolder.descendants.find((one) =>
           decodeURI(one.URI.replace(server().rootFolder.URI + '/', '')) === args[0])
         if (!folder || !pane().displayFolder) return false
         pane().displayFolder(folder.URI)
         return pane().gFolder?.URI === folder.URI`,
        path,
      ),
    )
  }

  /** Names of the account's folders, by the paths the server gave them. */
  async folders(): Promise<readonly string[]> {
    return await this.#inMainWindow(
      `return server().rootFolder.descendants.map((folder) => decodeURI(folder.URI.replace(server().rootFolder.URI + '/', '')))`,
    )
  }

  /** The message list of the folder that is shown. Looks only; never asks the server. */
  async rows(): Promise<readonly Row[]> {
    return await this.#inMainWindow(
      `const view = pane().gDBView
       return [...Array(view?.rowCount ?? 0).keys()].map((index) => {
         const header = view.getMsgHdrAt(index)
         return {
           subject: subjectOf(header),
           author: header.mime2DecodedAuthor,
           messageId: header.messageId,
           read: header.isRead,
           flagged: header.isFlagged,
           answered: Boolean(header.flags & Ci.nsMsgMessageFlags.Replied),
           shown: pane().threadTree.getRowAtIndex(index)?.getAttribute('aria-label') ?? '',
         }
       })`,
    )
  }

  /** Waits until the list that is shown satisfies `wanted`, without refreshing it. */
  async seesRows(what: string, wanted: (rows: readonly Row[]) => boolean, timeoutMs = 15_000): Promise<readonly Row[]> {
    let rows: readonly Row[] = []
    await this.#process.until(
      what,
      timeoutMs,
      async () => {
        rows = await this.rows()
        return wanted(rows)
      },
      () => JSON.stringify(rows),
    )
    return rows
  }

  /** Waits for a row with this subject in the folder that is shown. */
  async sees(subject: string, timeoutMs?: number): Promise<Row> {
    const isIt = (row: Row): boolean => row.subject === subject
    const rows = await this.seesRows(`message "${subject}"`, (all) => all.some(isIt), timeoutMs)
    return rows.find(isIt)!
  }

  /** Names of the files attached to the message that is displayed. */
  async attachments(): Promise<readonly string[]> {
    return await this.#inMainWindow(
      `return pane().messageBrowser.contentWindow.currentAttachments.map((attachment) => attachment.name)`,
    )
  }

  /** Selects a message and waits until its text is displayed; answers that text. This also marks it read. */
  async read(subject: string): Promise<string> {
    await this.#select(subject)
    let text = ''
    await this.#process.until(`text of "${subject}"`, 15_000, async () => {
      text = await this.#inMainWindow<string>(
        `const shown = pane().messageBrowser.contentWindow
         const header = shown.gMessage
         if (!header || subjectOf(header) !== args[0] || !shown.msgLoaded) return ''
         return shown.getMessagePaneBrowser().contentDocument?.body?.innerText ?? ''`,
        subject,
      )
      return text !== ''
    })
    await this.#process.keepScreenshot('read')
    return text
  }

  /** Searches the texts of the folder that is shown, on the server; answers the subjects found. */
  async searchOnServer(text: string): Promise<readonly string[]> {
    return await this.#inMainWindow(
      `const session = Cc['@mozilla.org/messenger/searchSession;1'].createInstance(Ci.nsIMsgSearchSession)
       session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, pane().gFolder)
       const term = session.createTerm()
       const { value } = term
       value.attrib = Ci.nsMsgSearchAttrib.Body
       value.str = args[0]
       term.attrib = Ci.nsMsgSearchAttrib.Body
       term.op = Ci.nsMsgSearchOp.Contains
       term.value = value
       session.appendTerm(term)
       return await new Promise((resolve, reject) => {
         const found = []
         const listener = {
           onNewSearch() {},
           onSearchHit(header) { found.push(subjectOf(header)) },
           onSearchDone(status) {
             if (Components.isSuccessCode(status)) resolve(found)
             else reject(new Error('search ended with ' + status))
           },
         }
         session.registerListener(listener, Ci.nsIMsgSearchSession.allNotifications)
         session.search(null)
       })`,
      text,
    )
  }

  /** Presses a command of the message list, such as `cmd_delete` or `cmd_markAsFlagged`, for one message. */
  async command(subject: string, command: string): Promise<void> {
    await this.#select(subject)
    await this.#inMainWindow(`pane().commandController.doCommand(args[0])`, command)
  }

  /** Moves a message, as dragging it onto a folder does. */
  async move(subject: string, to: FolderKind): Promise<void> {
    await this.#select(subject)
    await this.#inMainWindow(
      `pane().commandController.doCommand(
         'cmd_moveMessage', server().rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags[args[0]]))`,
      to,
    )
  }

  /** Presses "New Message". */
  async newMessage(): Promise<ComposeWindow> {
    return await ComposeWindow.open(this.#process, () =>
      this.#inMainWindow(`pane().document.getElementById('folderPaneWriteMessage').click()`),
    )
  }

  /** "New Message", To, Subject, text, "Send". */
  async send(to: string, subject: string, text: string): Promise<void> {
    const window = await this.newMessage()
    await window.typeTo(to)
    await window.typeSubject(subject)
    await window.typeText(text)
    await window.send()
  }

  /** "Reply", or "Reply List", to a message with text above the quotation. */
  async reply(subject: string, text: string, to: 'sender' | 'list' = 'sender'): Promise<void> {
    await this.#select(subject)
    const window = await ComposeWindow.open(this.#process, () =>
      this.#inMainWindow(
        `pane().commandController.doCommand(args[0])`,
        to === 'list' ? 'cmd_replylist' : 'cmd_replySender',
      ),
    )
    await window.toBeginning()
    await window.typeText(text)
    await window.send()
  }

  /** Has Thunderbird's own reader of autoconfig files read one. @returns the servers it found */
  async readAutoconfig(xml: string): Promise<{ imap: number; smtp: number }> {
    return await this.#inMainWindow(
      `const { readFromXML } = ChromeUtils.importESModule('resource:///modules/accountcreation/readFromXML.sys.mjs')
       const { JXON } = ChromeUtils.importESModule('resource:///modules/JXON.sys.mjs')
       const config = readFromXML(JXON.build(new DOMParser().parseFromString(args[0], 'text/xml')), '')
       return { imap: config.incoming.port, smtp: config.outgoing.port }`,
      xml,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }

  /** Puts password and certificate authority where the dialogs would have put them. */
  async #trust(settings: MailSettings): Promise<void> {
    const authority = settings.authorityPem?.replaceAll(/-----[A-Z ]+-----|\s/g, '') ?? ''
    await this.#inMainWindow(
      `const [user, password, urls, authority] = args
       for (const url of new Set(urls)) {
         const login = Cc['@mozilla.org/login-manager/loginInfo;1'].createInstance(Ci.nsILoginInfo)
         login.init(url, null, url, user, password, '', '')
         await Services.logins.addLoginAsync(login)
       }
       if (authority) {
         Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB).addCertFromBase64(authority, 'CT,C,C')
       }`,
      settings.user,
      settings.password,
      [`imap://${settings.imap.host}`, `smtp://${settings.smtp.host}`],
      authority,
    )
  }

  async #select(subject: string): Promise<void> {
    await this.#process.until(`row "${subject}" to select`, 15_000, () =>
      this.#inMainWindow<boolean>(
        `const view = pane().gDBView
         const index = [...Array(view?.rowCount ?? 0).keys()]
           .find((at) => subjectOf(view.getMsgHdrAt(at)) === args[0])
         if (index === undefined) return false
         pane().threadTree.selectedIndex = index
         return true`,
        subject,
      ),
    )
  }

  async #inMainWindow<T>(body: string, ...args: readonly unknown[]): Promise<T> {
    return await this.#process.inMainWindow<T>(body, ...args)
  }
}

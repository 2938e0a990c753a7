/** Dino and Gajim on a desktop: each with the account of a gateway, as its own dialog would have written it down. */
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import type { Desktop } from './desktop.ts'
import type { Gateway } from './gateway-process.ts'

/** Generous for a loaded CI. */
const startMsMax = 60_000

interface ChatProgram {
  readonly command: 'dino-im' | 'gajim'
  /** Part of the title of its window. */
  readonly title: string
  /** Where the newest chat stands in the list of its window. */
  readonly newestChat: readonly [x: number, y: number]
  /** Its accounts, below the home; and a table that it makes last of all that is needed here. */
  readonly accounts: readonly [path: string, table: string]
  readonly addAccount: (accounts: DatabaseSync, name: string, password: string) => void
  /** What was said in all its chats, below the home; and the question for it. */
  readonly history: readonly [path: string, query: string]
}

export const dino: ChatProgram = {
  command: 'dino-im',
  title: 'Dino',
  newestChat: [150, 80],
  accounts: ['.local/share/dino/dino.db', 'account'],
  addAccount: (accounts, name, password) =>
    accounts
      .prepare(`INSERT INTO account (bare_jid, resourcepart, password, enabled) VALUES (?, 'dino', ?, 1)`)
      .run(`${name}@localhost`, password),
  history: ['.local/share/dino/dino.db', 'SELECT body AS text FROM message ORDER BY id'],
}

export const gajim: ChatProgram = {
  command: 'gajim',
  title: 'Gajim',
  newestChat: [240, 165],
  accounts: ['.config/gajim/settings.sqlite', 'account_settings'],
  addAccount: (accounts, name, password) => {
    const account = { name, hostname: 'localhost', password, active: true, savepass: true }
    accounts
      .prepare('INSERT INTO account_settings (account, settings) VALUES (?, ?)')
      .run(name, JSON.stringify({ account, contact: {}, group_chat: {} }))
    // there is no keyring on this desktop
    accounts
      .prepare(`UPDATE settings SET settings = ? WHERE name = 'app'`)
      .run(JSON.stringify({ use_keyring: false, last_update_check: '2100-01-01 00:00' }))
  },
  history: [
    '.local/share/gajim/logs.db',
    'SELECT message AS text FROM logs WHERE message IS NOT NULL ORDER BY log_line_id',
  ],
}

/** Starts it once for its tables, adds the account, and starts it again, which logs it in. */
export async function openChatProgram(program: ChatProgram, desktop: Desktop, gateway: Gateway): Promise<void> {
  const [path, table] = program.accounts
  const accounts = join(desktop.home, path)
  const first = desktop.start(program.command)
  const isMade = `SELECT name FROM sqlite_master WHERE name = '${table}'`
  await first.waitFor('database', startMsMax, () => (rows(accounts, isMade).length > 0 ? true : undefined))
  await desktop.screen.showsWindow(program.title)
  await first.kill()
  const password = await gateway.addPassword(program.command)
  const database = new DatabaseSync(accounts)
  program.addAccount(database, gateway.name, password)
  database.close()
  desktop.start(program.command)
  await desktop.screen.showsWindow(program.title)
}

/** What it has kept of all chats, in order. */
export function heardBy(program: ChatProgram, desktop: Desktop): readonly unknown[] {
  const [path, query] = program.history
  return rows(join(desktop.home, path), query).map(({ text }) => text)
}

/** None while the program has not made the table, or is writing. */
function rows(path: string, query: string): readonly Readonly<Record<string, unknown>>[] {
  try {
    using database = new DatabaseSync(path, { readOnly: true })
    return database.prepare(query).all()
  } catch {
    return []
  }
}

/** Every command by name; `UID` variants under their full name. */
import type { Command } from './command.ts'
import { capability, check, enable, id, logout, namespace, noop } from './commands/basic.ts'
import { compress } from './commands/compress.ts'
import { copy, move, uidCopy, uidMove } from './commands/copy.ts'
import { expunge, uidExpunge } from './commands/expunge.ts'
import { fetch, uidFetch } from './commands/fetch.ts'
import { idle } from './commands/idle.ts'
import { list, lsub } from './commands/list.ts'
import { authenticate, login, starttls } from './commands/login.ts'
import { create, remove, rename, subscribe, unsubscribe } from './commands/mailboxes.ts'
import { getMetadata, setMetadata } from './commands/metadata.ts'
import { multiSearch } from './commands/multi-search.ts'
import { notify } from './commands/notify.ts'
import { getQuota, getQuotaRoot, setQuota } from './commands/quota.ts'
import { cancelUpdate, search, uidSearch } from './commands/search.ts'
import { close, examine, select, unselect } from './commands/select.ts'
import { sort, uidSort } from './commands/sort.ts'
import { status } from './commands/status.ts'
import { store, uidStore } from './commands/store.ts'
import { thread, uidThread } from './commands/thread.ts'
import { unauthenticate } from './commands/unauthenticate.ts'
import { uidBatches } from './commands/uid-batches.ts'

const commands: ReadonlyMap<string, Command> = new Map(
  Object.entries({
    CAPABILITY: capability,
    NOOP: noop,
    CHECK: check,
    LOGOUT: logout,
    ID: id,
    ENABLE: enable,
    NAMESPACE: namespace,
    STARTTLS: starttls,
    LOGIN: login,
    AUTHENTICATE: authenticate,
    SELECT: select,
    EXAMINE: examine,
    UNSELECT: unselect,
    CLOSE: close,
    CREATE: create,
    DELETE: remove,
    RENAME: rename,
    SUBSCRIBE: subscribe,
    UNSUBSCRIBE: unsubscribe,
    LIST: list,
    LSUB: lsub,
    STATUS: status,
    IDLE: idle,
    COMPRESS: compress,
    NOTIFY: notify,
    GETQUOTA: getQuota,
    GETQUOTAROOT: getQuotaRoot,
    SETQUOTA: setQuota,
    GETMETADATA: getMetadata,
    SETMETADATA: setMetadata,
    UNAUTHENTICATE: unauthenticate,
    FETCH: fetch,
    'UID FETCH': uidFetch,
    STORE: store,
    'UID STORE': uidStore,
    COPY: copy,
    'UID COPY': uidCopy,
    MOVE: move,
    'UID MOVE': uidMove,
    EXPUNGE: expunge,
    'UID EXPUNGE': uidExpunge,
    SEARCH: search,
    'UID SEARCH': uidSearch,
    ESEARCH: multiSearch,
    CANCELUPDATE: cancelUpdate,
    SORT: sort,
    'UID SORT': uidSort,
    THREAD: thread,
    'UID THREAD': uidThread,
    UIDBATCHES: uidBatches,
  }),
)

export const commandNamed = (name: string): Command | undefined => commands.get(name)

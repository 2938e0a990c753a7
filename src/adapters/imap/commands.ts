/** Every command by name; `UID` variants under their full name. */
import type { Command } from './command.ts'
import { authenticate } from './commands/authenticate.ts'
import { cancelUpdate } from './commands/cancel-update.ts'
import { capability } from './commands/capability.ts'
import { check } from './commands/check.ts'
import { close } from './commands/close.ts'
import { compress } from './commands/compress.ts'
import { copy, move, uidCopy, uidMove } from './commands/copy.ts'
import { create } from './commands/create.ts'
import { remove } from './commands/delete.ts'
import { enable } from './commands/enable.ts'
import { expunge, uidExpunge } from './commands/expunge.ts'
import { fetch, uidFetch } from './commands/fetch.ts'
import { id } from './commands/id.ts'
import { idle } from './commands/idle.ts'
import { list } from './commands/list.ts'
import { login } from './commands/login.ts'
import { logout } from './commands/logout.ts'
import { lsub } from './commands/lsub.ts'
import { getMetadata, setMetadata } from './commands/metadata.ts'
import { multiSearch } from './commands/multi-search.ts'
import { namespace } from './commands/namespace.ts'
import { noop } from './commands/noop.ts'
import { notify } from './commands/notify.ts'
import { getQuota, getQuotaRoot, setQuota } from './commands/quota.ts'
import { rename } from './commands/rename.ts'
import { search, uidSearch } from './commands/search.ts'
import { examine, select } from './commands/select.ts'
import { sort, uidSort } from './commands/sort.ts'
import { starttls } from './commands/starttls.ts'
import { status } from './commands/status.ts'
import { store, uidStore } from './commands/store.ts'
import { subscribe, unsubscribe } from './commands/subscribe.ts'
import { thread, uidThread } from './commands/thread.ts'
import { uidBatches } from './commands/uid-batches.ts'
import { unauthenticate } from './commands/unauthenticate.ts'
import { unselect } from './commands/unselect.ts'

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

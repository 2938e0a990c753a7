/** Joins the command line to home, lock and gateway. */
import { userInfo } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Wiring } from './cli/wiring.ts'
import { systemClock } from './core/ambient.ts'
import { MyceliumError } from './core/errors.ts'
import {
  beginCreation,
  databaseFile,
  endCreation,
  type HomeMarker,
  type HomePaths,
  homePaths,
  inspectHome,
  requireParts,
  secureHome,
} from './home.ts'
import { lockHome } from './home-lock.ts'
import { createLog, type Logger, type LogLevel } from './log.ts'

const logTo = (level: LogLevel): Logger =>
  createLog(level, { clock: systemClock, write: (line) => void process.stderr.write(line) })

function markerOf(home: string): HomeMarker {
  const state = inspectHome(home)
  if (state.kind === 'nothing') throw new MyceliumError('not-initialised')
  return state.marker
}

/** The store does not know where it lies; whoever reads that it is damaged must. */
async function namingFile<T>(paths: HomePaths, opening: Promise<T>): Promise<T> {
  try {
    return await opening
  } catch (error) {
    if (!(error instanceof MyceliumError) || error.code !== 'store-corrupt') throw error
    throw new MyceliumError(error.code, { ...error.details, file: databaseFile(paths) }, { cause: error })
  }
}

export function createWiring(version: string): Wiring {
  return {
    version,
    command: [process.execPath, fileURLToPath(new URL('main.ts', import.meta.url))],
    controlSocket: (home) => homePaths(home).controlSocket,
    inspect(home) {
      const state = inspectHome(home)
      return state.kind === 'nothing' ? state : { kind: 'home', keyStore: state.marker.keyStore }
    },
    async createHome(home, { serviceDomain = 'localhost', ...options }) {
      if (inspectHome(home).kind === 'home') {
        throw new MyceliumError('home-invalid', { reason: 'it is a home already; nothing was changed' })
      }
      secureHome(home)
      const paths = homePaths(home)
      await using scope = new AsyncDisposableStack()
      scope.use(await lockHome(home, paths.controlSocket))
      beginCreation(home)
      const { createHome } = await import('./operations.ts')
      const created = await createHome({
        ...options,
        paths,
        log: logTo('warn'),
        loginName: userInfo().username,
        serviceDomain,
      })
      endCreation(home, {
        createdAtMs: systemClock.nowMs(),
        keyStore: options.passphrase === undefined ? 'key-file' : 'passphrase',
        serviceDomain,
      })
      return created
    },
    async createEmptyHome(home, passphrase) {
      if (inspectHome(home).kind === 'home') {
        throw new MyceliumError('home-invalid', { reason: 'it is a home already; nothing was changed' })
      }
      secureHome(home)
      const paths = homePaths(home)
      await using scope = new AsyncDisposableStack()
      scope.use(await lockHome(home, paths.controlSocket))
      beginCreation(home)
      const { createEmptyHome } = await import('./operations.ts')
      await createEmptyHome({ paths, passphrase, log: logTo('warn') })
      endCreation(home, {
        createdAtMs: systemClock.nowMs(),
        keyStore: passphrase === undefined ? 'key-file' : 'passphrase',
        serviceDomain: 'localhost',
      })
    },
    async openStopped(home, passphrase) {
      const marker = markerOf(home)
      secureHome(home)
      const paths = homePaths(home)
      await using scope = new AsyncDisposableStack()
      scope.use(await lockHome(home, paths.controlSocket))
      const { openStopped } = await import('./operations.ts')
      requireParts(paths)
      const opening = openStopped({ paths, marker, passphrase, version, log: logTo('warn') })
      const operations = scope.use(await namingFile(paths, opening))
      const owned = scope.move()
      return { ...operations, [Symbol.asyncDispose]: async () => await owned.disposeAsync() }
    },
    async readStopped(home, to) {
      markerOf(home)
      secureHome(home)
      const paths = homePaths(home)
      using _ = await lockHome(home, paths.controlSocket)
      requireParts(paths)
      const { readBackup } = await import('./home-backup.ts')
      const { withStoppedSnapshot } = await import('./core/store/snapshot.ts')
      const reading = withStoppedSnapshot(
        paths.store,
        async (snapshot) => await readBackup({ paths, snapshot, nowMs: systemClock.nowMs() }, to),
      )
      return await namingFile(paths, reading)
    },
    async restoreHome(home, source) {
      if (inspectHome(home).kind === 'home') {
        throw new MyceliumError('home-invalid', { reason: 'it is a home already; nothing was changed' })
      }
      secureHome(home)
      const paths = homePaths(home)
      using _ = await lockHome(home, paths.controlSocket)
      const { writeHome } = await import('./home-backup.ts')
      return await writeHome(paths, source)
    },
    async start(home, config, passphrase) {
      const marker = markerOf(home)
      secureHome(home)
      const paths = homePaths(home)
      await using scope = new AsyncDisposableStack()
      scope.use(await lockHome(home, paths.controlSocket))
      const { openGateway } = await import('./gateway.ts')
      const log = logTo(config.log.level)
      requireParts(paths)
      const opening = openGateway({ paths, marker, passphrase, config, version, log })
      const gateway = scope.use(await namingFile(paths, opening))
      const owned = scope.move()
      const { listeners, operations, ended } = gateway
      return { listeners, operations, ended, [Symbol.asyncDispose]: async () => await owned.disposeAsync() }
    },
  }
}

/**
 * How far each connection of a program has been told of each room. In memory: a program whose connection is not known (any
 * more) begins anew. Of each connection the last two positions are kept, since an answer may not have been heard.
 */
import type { ConversationId } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { Caller } from '../../http/api.ts'
import { MatrixError } from '../../http/matrix-error.ts'
import type { RoomConfig } from './request.ts'

export interface RoomTold {
  /** Number in the stream up to which it was told. */
  readonly upTo: number
  readonly configs: readonly RoomConfig[]
}

export interface Position {
  /** Number in the stream. */
  readonly number: number
  readonly moment: number
  readonly rooms: ReadonlyMap<ConversationId, RoomTold>
}

interface Connection {
  next: number
  readonly positions: Map<string, Position>
}

export class Connections {
  /** By device and name, the one that was used last at the end. */
  readonly #known = new Map<string, Connection>()
  readonly #run: string

  /** @param run of this run of the gateway */
  constructor(run: string) {
    this.#run = run
  }

  /** @returns undefined for a new one. @throws MatrixError `M_UNKNOWN_POS` */
  at({ account, device }: Caller, name: string, pos: string | undefined): Position | undefined {
    const key = `${account} ${device} ${name}`
    if (pos === undefined) {
      this.#known.delete(key)
      return undefined
    }
    const connection = this.#known.get(key)
    const position = connection?.positions.get(pos)
    if (connection === undefined || position === undefined)
      throw new MatrixError('M_UNKNOWN_POS', 'This position is not known (any more): begin again')
    // what was before it has been heard
    for (const older of connection.positions.keys()) {
      if (older === pos) break
      connection.positions.delete(older)
    }
    return position
  }

  /** @returns what the program comes back with */
  put({ account, device }: Caller, name: string, position: Position): string {
    const key = `${account} ${device} ${name}`
    const connection = this.#known.get(key) ?? { next: 1, positions: new Map<string, Position>() }
    this.#known.delete(key)
    this.#known.set(key, connection)
    const pos = `${connection.next}.${this.#run}/s${position.number}`
    connection.next += 1
    connection.positions.set(pos, position)
    const [oldest] = connection.positions.keys()
    if (connection.positions.size > 2 && oldest !== undefined) connection.positions.delete(oldest)
    const [longest] = this.#known.keys()
    if (this.#known.size > limits.matrixConnectionsMax && longest !== undefined) this.#known.delete(longest)
    return pos
  }
}

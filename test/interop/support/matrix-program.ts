/** A program made with matrix-js-sdk on Node: what a bot does, and what the library tells it. */
import {
  createClient,
  EventTimeline,
  EventType,
  type MatrixClient,
  type MatrixEvent,
  MsgType,
  Preset,
  RelationType,
  type Room,
} from 'matrix-js-sdk'
import type { RoomMessageEventContent } from 'matrix-js-sdk/lib/@types/events.js'
import { logger } from 'matrix-js-sdk/lib/logger.js'
import { SlidingSync } from 'matrix-js-sdk/lib/sliding-sync.js'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MatrixLogin } from './matrix-login.ts'

/** How it hears of things: by /sync; so and with keys of its own; by sliding sync. */
export type Hearing = 'sync' | 'encrypted sync' | 'sliding sync'

/** Generous for a loaded CI. */
const heardMsMax = 30_000
const silent = {
  trace: () => {},
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  log: () => {},
  getChild: () => silent,
}

// much of the library uses this one, whatever a client is given
Object.assign(logger, silent)

export class MatrixProgram implements AsyncDisposable {
  readonly client: MatrixClient

  private constructor(client: MatrixClient) {
    this.client = client
  }

  /** Ends when it has heard what there is. */
  static async logIn({ homeserver, user, password }: MatrixLogin, hearing: Hearing = 'sync'): Promise<MatrixProgram> {
    const options = { baseUrl: homeserver, logger: silent }
    const { user_id, access_token, device_id } = await createClient(options).loginRequest({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user },
      password,
    })
    const client = createClient({ ...options, userId: user_id, accessToken: access_token, deviceId: device_id })
    await using undo = new AsyncDisposableStack()
    const program = undo.use(new MatrixProgram(client))
    if (hearing === 'encrypted sync') await client.initRustCrypto({ useIndexedDB: false })
    const sliding = hearing === 'sliding sync' ? { slidingSync: slidingSync(client) } : {}
    await client.startClient({ initialSyncLimit: 20, threadSupport: true, ...sliding })
    await program.hears('the first sync', () => (client.isInitialSyncComplete() ? true : undefined))
    undo.move()
    return program
  }

  /** @returns the id of a room of these people, in which nothing is encrypted by its members */
  async createRoom(name: string, ...invite: readonly string[]): Promise<string> {
    const { room_id } = await this.client.createRoom({ name, invite: [...invite], preset: Preset.PrivateChat })
    return room_id
  }

  /** @returns the id of a new chat of two, marked as such */
  async startChat(userId: string, { isEncrypted = false } = {}): Promise<string> {
    const { client } = this
    const encryption = { type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
    const { room_id } = await client.createRoom({
      invite: [userId],
      is_direct: true,
      preset: Preset.TrustedPrivateChat,
      initial_state: isEncrypted ? [encryption] : [],
    })
    const direct = client.getAccountData(EventType.Direct)?.getContent() ?? {}
    await client.setAccountData(EventType.Direct, { ...direct, [userId]: [...(direct[userId] ?? []), room_id] })
    return room_id
  }

  /** Waits for an invitation to the room and accepts it. */
  /** The room, once it is heard of as one that this person is in. */
  async room(roomId: string): Promise<Room> {
    return await this.hears(roomId, () => {
      const room = this.client.getRoom(roomId)
      return room?.getMyMembership() === 'join' ? room : undefined
    })
  }

  /** @returns the id of the event, as each of these */
  async say(roomId: string, body: string): Promise<string> {
    return await this.#send(roomId, { msgtype: MsgType.Text, body })
  }

  async reply(roomId: string, to: string, body: string): Promise<string> {
    return await this.#send(roomId, {
      msgtype: MsgType.Text,
      body,
      'm.relates_to': { 'm.in_reply_to': { event_id: to } },
    })
  }

  async replyInThread(roomId: string, to: string, body: string): Promise<string> {
    const { event_id } = await this.client.sendTextMessage(roomId, to, body)
    return event_id
  }

  async react(roomId: string, to: string, key: string): Promise<string> {
    const annotation = { rel_type: RelationType.Annotation as RelationType.Annotation, event_id: to, key }
    return (await this.client.sendEvent(roomId, EventType.Reaction, { 'm.relates_to': annotation })).event_id
  }

  async edit(roomId: string, eventId: string, body: string): Promise<string> {
    return await this.#send(roomId, {
      msgtype: MsgType.Text,
      body: `* ${body}`,
      'm.new_content': { msgtype: MsgType.Text, body },
      'm.relates_to': { rel_type: RelationType.Replace, event_id: eventId },
    })
  }

  async redact(roomId: string, eventId: string): Promise<string> {
    return (await this.client.redactEvent(roomId, eventId)).event_id
  }

  async upload(roomId: string, name: string, bytes: Uint8Array<ArrayBuffer>, type: string): Promise<string> {
    const { content_uri } = await this.client.uploadContent(new Blob([bytes], { type }), { name, type })
    const info = { size: bytes.length, mimetype: type }
    return await this.#send(roomId, { msgtype: MsgType.File, body: name, filename: name, url: content_uri, info })
  }

  /** What an `mxc:` address stands for, asked for as a logged-in person. */
  async download(mxc: string): Promise<Uint8Array> {
    const address = this.client.mxcUrlToHttp(mxc, undefined, undefined, undefined, false, true, true)
    const answer = await fetch(address ?? mxc, { headers: { authorization: `Bearer ${this.client.getAccessToken()}` } })
    if (!answer.ok) throw new Error(`${mxc}: ${answer.status} ${await answer.text()}`)
    return new Uint8Array(await answer.arrayBuffer())
  }

  /** Events of the room from the oldest on, older pages fetched until there are no more; as they were heard, edits applied. */
  async history(roomId: string, pageEvents = 20): Promise<readonly MatrixEvent[]> {
    const room = await this.room(roomId)
    while (room.getLiveTimeline().getPaginationToken(EventTimeline.BACKWARDS) !== null)
      await this.client.scrollback(room, pageEvents)
    return room.getLiveTimeline().getEvents()
  }

  /** A message of the room with this text, edited or not, once it is there. */
  async hearsText(roomId: string, body: string): Promise<MatrixEvent> {
    const has = (event: MatrixEvent): boolean => event.getContent().body === body && !event.isRelation('m.replace')
    return await this.hears(`"${body}"`, () => this.#events(roomId).find(has))
  }

  /** A reaction with that key, once it is there. */
  async hearsReaction(roomId: string, to: string, key: string): Promise<MatrixEvent> {
    return await this.hears(`reaction ${key}`, () =>
      this.#events(roomId).find((event) => {
        const relation = event.getRelation()
        return relation?.event_id === to && relation.key === key
      }),
    )
  }

  /** Waits until that person is in the room: an encrypted message is not for those who come later. */
  async hearsMember(roomId: string, userId: string): Promise<void> {
    await this.hears(`${userId} in ${roomId}`, () =>
      this.client.getRoom(roomId)?.getMember(userId)?.membership === 'join' ? true : undefined,
    )
  }

  async hearsTyping(roomId: string, userId: string): Promise<void> {
    await this.hears(`${userId} typing`, () => this.client.getRoom(roomId)?.getMember(userId)?.typing || undefined)
  }

  async hearsRead(roomId: string, userId: string, eventId: string): Promise<void> {
    await this.hears(`${eventId} read`, () =>
      this.client.getRoom(roomId)?.getEventReadUpTo(userId) === eventId ? true : undefined,
    )
  }

  async hearsRedaction(roomId: string, eventId: string): Promise<void> {
    await this.hears(`${eventId} removed`, () =>
      this.#events(roomId)
        .find((event) => event.getId() === eventId)
        ?.isRedacted()
        ? true
        : undefined,
    )
  }

  /** Waits until there is something. @throws after half a minute */
  async hears<T>(what: string, found: () => T | undefined): Promise<T> {
    const deadline = performance.now() + heardMsMax
    for (;;) {
      const value = found()
      if (value !== undefined) return value
      if (performance.now() > deadline) throw new Error(`${this.client.getUserId()} never heard of ${what}`)
      await sleep(20)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.stopClient()
    await this.client.logout().catch(() => {})
  }

  #events(roomId: string): readonly MatrixEvent[] {
    const room = this.client.getRoom(roomId)
    if (room === null) return []
    return [...room.getLiveTimeline().getEvents(), ...room.getThreads().flatMap((thread) => thread.events)]
  }

  async #send(roomId: string, content: RoomMessageEventContent): Promise<string> {
    await this.room(roomId)
    return (await this.client.sendMessage(roomId, content)).event_id
  }
}

/** Every room, with all that the library may want to know of it. */
function slidingSync(client: MatrixClient): SlidingSync {
  const rooms = { ranges: [[0, 99]], required_state: [['*', '*']], timeline_limit: 20 }
  return new SlidingSync(client.getHomeserverUrl(), new Map([['rooms', rooms]]), { timeline_limit: 20 }, client, 10_000)
}

/** A program made with matrix-nio, in Python: told what to do, and asked what it heard. */
import { join } from 'node:path'
import type { MatrixLogin } from './matrix-login.ts'
import { Program } from './processes.ts'

const python = '/usr/bin/python3'
const script = join(import.meta.dirname, 'nio_person.py')
/** Generous for a loaded CI. */
const heardMsMax = 30_000

/** An event as it came, or an invitation, a typing or read notice by the library's name for it. */
export interface NioEvent {
  readonly type: string
  readonly content: Readonly<Record<string, unknown>>
  readonly event_id?: string
  readonly sender?: string
  readonly redacts?: string
}

type Line =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly room: string; readonly event: NioEvent }

export class NioPerson implements AsyncDisposable {
  readonly #program: Program
  #asked = 0

  private constructor(program: Program) {
    this.#program = program
  }

  /** Ends when it has heard what there is. */
  static async logIn({ homeserver, user, password }: MatrixLogin): Promise<NioPerson> {
    const person = new NioPerson(new Program(python, [script, homeserver, user, password], { keepInputOpen: true }))
    await using undo = new AsyncDisposableStack()
    undo.use(person)
    await person.#answer(0)
    undo.move()
    return person
  }

  /** @returns the id of the room, as the next one */
  async createRoom(name: string, ...invite: readonly string[]): Promise<string> {
    return await this.#ask('create', { name, invite })
  }

  async startChat(userId: string): Promise<string> {
    return await this.#ask('chat', { with_: userId })
  }

  /** Waits for an invitation to the room and accepts it. */
  /** @returns the id of the event, as each of these */
  async say(room: string, body: string): Promise<string> {
    return await this.#send(room, 'm.room.message', { msgtype: 'm.text', body })
  }

  async react(room: string, to: string, key: string): Promise<string> {
    return await this.#send(room, 'm.reaction', {
      'm.relates_to': { rel_type: 'm.annotation', event_id: to, key },
    })
  }

  async edit(room: string, eventId: string, body: string): Promise<string> {
    return await this.#send(room, 'm.room.message', {
      msgtype: 'm.text',
      body: `* ${body}`,
      'm.new_content': { msgtype: 'm.text', body },
      'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
    })
  }

  async redact(room: string, event: string): Promise<string> {
    return await this.#ask('redact', { room, event })
  }

  async upload(room: string, name: string, bytes: Uint8Array, type: string): Promise<string> {
    const url = await this.#ask('upload', { name, kind: type, data: Buffer.from(bytes).toString('base64') })
    return await this.#send(room, 'm.room.message', { msgtype: 'm.file', body: name, filename: name, url })
  }

  async download(mxc: string): Promise<Uint8Array> {
    return new Uint8Array(Buffer.from(await this.#ask('download', { mxc }), 'base64'))
  }

  async startTyping(room: string): Promise<void> {
    await this.#ask('typing', { room })
  }

  async read(room: string, event: string): Promise<void> {
    await this.#ask('read', { room, event })
  }

  /** Id → what the library calls the room. */
  async rooms(): Promise<Readonly<Record<string, string>>> {
    return await this.#ask('rooms', {})
  }

  /** A message of the room with that text, once it came. */
  async hearsText(room: string, body: string): Promise<NioEvent> {
    return await this.hears(room, ({ content }) => content['body'] === body)
  }

  /** The first such event of the room, once it came. @throws after half a minute, with the last of what came */
  async hears(room: string, isIt: (event: NioEvent) => boolean): Promise<NioEvent> {
    return await this.#program.waitFor('such an event', heardMsMax, () => {
      for (const line of this.#lines()) if ('room' in line && line.room === room && isIt(line.event)) return line.event
      return undefined
    })
  }

  async #send(room: string, kind: string, content: object): Promise<string> {
    return await this.#ask('send', { room, kind, content })
  }

  async #ask<T = string>(what: string, argumentsOfIt: object): Promise<T> {
    this.#asked += 1
    const id = this.#asked
    this.#program.write(`${JSON.stringify({ id, do: what, ...argumentsOfIt })}\n`)
    return (await this.#answer(id)) as T
  }

  async #answer(to: number): Promise<unknown> {
    const answer = await this.#program.waitFor('answer', heardMsMax, () =>
      this.#lines().find((line) => 'id' in line && line.id === to),
    )
    if ('error' in answer) throw new Error(`matrix-nio: ${answer.error}`)
    return 'value' in answer ? answer.value : undefined
  }

  /** Whole lines only: the last one may still be on its way. */
  #lines(): readonly Line[] {
    return this.#program.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.kill()
  }
}

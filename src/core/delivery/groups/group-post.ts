/** What members say to each other about their group, on its way: one message for each payload, to every member. */
import type { BlobRoot, GroupId, Identity } from '../../ids.ts'
import type { WriteTx } from '../../store/store.ts'
import { type ChatPost, nothingCited } from '../chat-post.ts'
import type { Directory } from '../needs.ts'
import { inPayloads, type Statement } from './statements.ts'

export interface Letter {
  readonly to: readonly Identity[]
  readonly statements: readonly Statement[]
  /** Of the file of a message among them. */
  readonly root?: BlobRoot | undefined
}

export class GroupPost {
  readonly #post: ChatPost
  readonly #directory: Directory
  readonly #takeHere: (tx: WriteTx, account: Identity, from: Identity, group: GroupId, payload: Uint8Array) => void

  constructor(parts: {
    readonly post: ChatPost
    readonly directory: Directory
    /** For another account of this gateway. */
    readonly takeHere: (tx: WriteTx, account: Identity, from: Identity, group: GroupId, payload: Uint8Array) => void
  }) {
    this.#post = parts.post
    this.#directory = parts.directory
    this.#takeHere = parts.takeHere
  }

  send(tx: WriteTx, account: Identity, group: GroupId, { to, statements, root }: Letter): void {
    const others = to.filter((identity) => identity !== account)
    const here = others.filter((identity) => this.#directory.isOwn(identity))
    const away = others.filter((identity) => !this.#directory.isOwn(identity))
    if (others.length === 0) return
    for (const payload of inPayloads(statements)) {
      const carried = this.#post.stamped(
        account,
        { kind: 'group', group },
        { parts: [{ kind: 'group', payload }] },
        nothingCited,
      )
      this.#post.queue(tx, account, carried, away, root)
      for (const identity of here) this.#takeHere(tx, identity, account, group, payload)
    }
  }
}

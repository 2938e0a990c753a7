/**
 * Checkpoints: one admin asks the others to vouch for where the group stands; with more than half of them it becomes an
 * operation, and nothing can be dated back behind it. What is asked is forgotten with the process: it can be asked again.
 */
import { MyceliumError } from '../../errors.ts'
import type { Group, GroupAuthor } from '../../group/group.ts'
import { agreeToCheckpoint, type CheckpointSigner } from '../../group/op.ts'
import { adminsOf, isAdmin } from '../../group/roster.ts'
import type { DeviceId, GroupId, GroupOpId, Identity } from '../../ids.ts'

interface Asked {
  readonly heads: readonly GroupOpId[]
  readonly signers: Map<Identity, CheckpointSigner>
}

export class Checkpoints {
  /** By account and group. */
  readonly #asked = new Map<string, Asked>()

  /** @returns the heads to vouch for @throws `not-permitted` for whoever is no admin */
  ask(account: Identity, group: Group, device: DeviceId): readonly GroupOpId[] {
    if (!isAdmin(group.state, account)) throw new MyceliumError('not-permitted')
    const heads = group.headsToCite(device)
    this.#asked.set(account + group.id, { heads, signers: new Map() })
    return heads
  }

  /** Our own word, where we are an admin and the group stands here as it does there. @throws `not-permitted` */
  vouch(author: GroupAuthor, group: Group, heads: readonly GroupOpId[]): Uint8Array {
    const isSame = group.heads.length === heads.length && heads.every((head) => group.heads.includes(head))
    if (!isSame || !isAdmin(group.state, author.identity)) throw new MyceliumError('not-permitted')
    return agreeToCheckpoint(author.key, group.id, heads)
  }

  /** Somebody's word. @returns all signers, ascending, once they are enough beside ourselves */
  vouched(
    account: Identity,
    group: Group,
    heads: readonly GroupOpId[],
    signer: CheckpointSigner,
  ): readonly CheckpointSigner[] | undefined {
    const asked = this.#asked.get(account + group.id)
    if (asked === undefined || asked.heads.join() !== heads.join()) return undefined
    if (signer.identity === account || !isAdmin(group.state, signer.identity)) return undefined
    asked.signers.set(signer.identity, signer)
    return this.signers(account, group)
  }

  /** Those who have vouched, ascending, when with us they are more than half of the admins. */
  signers(account: Identity, group: Group): readonly CheckpointSigner[] | undefined {
    const asked = this.#asked.get(account + group.id)
    if (asked === undefined || (asked.signers.size + 1) * 2 <= adminsOf(group.state).length) return undefined
    return [...asked.signers.values()].toSorted((a, b) => (a.identity < b.identity ? -1 : 1))
  }

  heads(account: Identity, group: GroupId): readonly GroupOpId[] | undefined {
    return this.#asked.get(account + group)?.heads
  }

  done(account: Identity, group: GroupId): void {
    this.#asked.delete(account + group)
  }
}

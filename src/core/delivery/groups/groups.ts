/**
 * What members do: found a group, add and remove, change its rules, write in it. Each becomes signed operations, keys for
 * those who are to have them, and copies for every member, in one transaction.
 */
import type { Ambient } from '../../ambient.ts'
import type { Conversations } from '../../conversation/conversations.ts'
import type { DevicesOf, GroupBook, GroupRow } from '../../conversation/group-book.ts'
import { aboutOf, type Arriving } from '../../conversation/history.ts'
import { MyceliumError } from '../../errors.ts'
import { readEnvelope } from '../../group/envelope.ts'
import { foundGroup, type Group, type GroupAuthor } from '../../group/group.ts'
import type { CheckpointSigner, GroupAction, GroupPolicy, SignedGroupOp } from '../../group/op.ts'
import { adminsOf, isAdmin, type Roster, sendingEpoch } from '../../group/roster.ts'
import type { ConversationId, GroupId, GroupOpId, Identity, MessageId } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { groupConversation } from '../../message/conversation.ts'
import { blobOf, decodeMessage, messageIdOf } from '../../message/message.ts'
import type { ReadTx, Store, WriteTx } from '../../store/store.ts'
import type { ChatPost, Draft } from '../chat-post.ts'
import type { Said } from '../chats.ts'
import type { Keyring } from '../needs.ts'
import type { GatewayAddress } from '../ports.ts'
import { Checkpoints } from './checkpoints.ts'
import type { GroupPost } from './group-post.ts'
import type { GroupVault } from './group-vault.ts'
import { decodeStatements, type Statement } from './statements.ts'

export interface GroupParts {
  readonly store: Store
  readonly book: GroupBook
  readonly vault: GroupVault
  readonly conversations: Conversations
  readonly post: ChatPost
  readonly groupPost: GroupPost
  readonly keyring: Keyring
  readonly ambient: Ambient
  readonly here: () => GatewayAddress
  readonly devicesOf: DevicesOf
}

type PolicyChange = Partial<Record<keyof GroupPolicy, unknown>>

const firstPolicy: GroupPolicy = { post: 'members', add: 'admins', sharesHistory: false, readReceipts: true }

export class Groups {
  readonly #parts: GroupParts
  readonly #checkpoints = new Checkpoints()

  constructor(parts: GroupParts) {
    this.#parts = parts
  }

  /** @throws `too-large` */
  async create(account: Identity, name: string): Promise<GroupId> {
    return await this.#parts.store.write((tx) => this.createIn(tx, account, name))
  }

  /** The same in the caller's transaction, as all that end so. */
  createIn(tx: WriteTx, account: Identity, name: string): GroupId {
    const { book, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const nonce = ambient.random.bytes(16)
    const first = foundGroup(this.author(account), { name, policy: firstPolicy, nonce }, nowMs)
    const group = book.open(tx, account, first)
    book.putRow(tx, account, { group: group.id, state: 'joined', addedBy: account, sinceMs: nowMs })
    this.renewKeys(tx, account, group)
    this.changed(tx, account, group.id)
    return group.id
  }

  /** @throws `not-permitted`, `group-full`, `no-such-contact` when nothing is known of somebody to hand on */
  async add(account: Identity, id: GroupId, people: readonly Identity[]): Promise<void> {
    await this.#parts.store.write((tx) => this.addIn(tx, account, id, people))
  }

  addIn(tx: WriteTx, account: Identity, id: GroupId, people: readonly Identity[]): void {
    this.#actIn(tx, account, id, (group) => {
      const before = membersOf(group)
      const ops = people.map((member) => this.#do(tx, account, group, this.#addition(account, member)))
      this.#announce(tx, account, group, before, [
        { kind: 'bundles', bundles: this.#bundlesOf(account, people) },
        { kind: 'ops', ops },
      ])
      for (const member of people) this.welcome(tx, account, group, member)
    })
  }

  /** @throws `not-permitted` */
  async remove(account: Identity, id: GroupId, member: Identity): Promise<void> {
    await this.#parts.store.write((tx) => this.removeIn(tx, account, id, member))
  }

  removeIn(tx: WriteTx, account: Identity, id: GroupId, member: Identity): void {
    this.#actIn(tx, account, id, (group) => {
      const before = membersOf(group)
      const cuts = this.#parts.vault.cutsOf(tx, account, group, member)
      const op = this.#do(tx, account, group, { kind: 'remove', member, cuts })
      this.#announce(tx, account, group, before, [{ kind: 'ops', ops: [op] }])
      this.renewKeys(tx, account, group)
    })
  }

  async leave(account: Identity, id: GroupId): Promise<void> {
    await this.#parts.store.write((tx) => this.leaveIn(tx, account, id))
  }

  leaveIn(tx: WriteTx, account: Identity, id: GroupId): void {
    const { book, vault } = this.#parts
    this.#actIn(tx, account, id, (group) => {
      const row = book.row(tx, account, id)!
      if (group.state.members.has(account)) {
        const before = membersOf(group)
        const cuts = vault.cutsOf(tx, account, group, account)
        const op = this.#do(tx, account, group, { kind: 'leave', cuts })
        this.#announce(tx, account, group, before, [{ kind: 'ops', ops: [op] }])
      }
      book.putRow(tx, account, { ...row, state: 'left' })
    })
  }

  async grant(account: Identity, id: GroupId, member: Identity): Promise<void> {
    await this.#parts.store.write((tx) => this.grantIn(tx, account, id, member))
  }

  grantIn(tx: WriteTx, account: Identity, id: GroupId, member: Identity): void {
    this.#doOneIn(tx, account, id, () => ({ kind: 'grant', member }))
  }

  async revoke(account: Identity, id: GroupId, member: Identity): Promise<void> {
    await this.#parts.store.write((tx) => this.revokeIn(tx, account, id, member))
  }

  revokeIn(tx: WriteTx, account: Identity, id: GroupId, member: Identity): void {
    this.#doOneIn(tx, account, id, () => ({ kind: 'revoke', member }))
  }

  async rename(account: Identity, id: GroupId, name: string): Promise<void> {
    await this.#parts.store.write((tx) => this.renameIn(tx, account, id, name))
  }

  renameIn(tx: WriteTx, account: Identity, id: GroupId, name: string): void {
    this.#doOneIn(tx, account, id, () => ({ kind: 'rename', name }))
  }

  async setPolicy(account: Identity, id: GroupId, change: PolicyChange): Promise<void> {
    await this.#parts.store.write((tx) => this.setPolicyIn(tx, account, id, change))
  }

  setPolicyIn(tx: WriteTx, account: Identity, id: GroupId, change: PolicyChange): void {
    const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
    this.#doOneIn(tx, account, id, (group) => ({ kind: 'policy', policy: { ...group.state.policy, ...given } }))
  }

  /**
   * Has more than half of the admins vouch for where the group stands, so that nothing is dated back behind it: at once
   * where this account is the only admin, else as soon as enough of them have.
   * @throws `not-permitted`
   */
  async checkpoint(account: Identity, id: GroupId): Promise<void> {
    await this.#act(account, id, (tx, group) => {
      const heads = this.#checkpoints.ask(account, group, this.author(account).device)
      if (this.#makeCheckpoint(tx, account, group)) return
      const others = adminsOf(group.state).filter((admin) => admin !== account)
      this.#announce(tx, account, group, others, [{ kind: 'vouchFor', heads }])
    })
  }

  /** Another admin asks us to vouch. @throws `not-permitted` where the group does not stand here as it does there */
  vouchFor(tx: WriteTx, account: Identity, group: Group, heads: readonly GroupOpId[], from: Identity): void {
    const author = this.author(account)
    const signature = this.#checkpoints.vouch(author, group, heads)
    this.#announce(tx, account, group, [from], [{ kind: 'vouched', heads, signature, device: author.device }])
  }

  vouched(tx: WriteTx, account: Identity, group: Group, heads: readonly GroupOpId[], signer: CheckpointSigner): void {
    if (this.#checkpoints.vouched(account, group, heads, signer) !== undefined) this.#makeCheckpoint(tx, account, group)
  }

  /** @returns whether enough have vouched */
  #makeCheckpoint(tx: WriteTx, account: Identity, group: Group): boolean {
    const heads = this.#checkpoints.heads(account, group.id)
    const signers = this.#checkpoints.signers(account, group)
    if (heads === undefined || signers === undefined) return false
    const nowMs = this.#parts.ambient.clock.nowMs()
    const op = group.compose(this.author(account), { kind: 'checkpoint', signers }, nowMs, heads)
    this.#parts.book.add(tx, account, group, op, nowMs)
    this.#announce(tx, account, group, membersOf(group), [{ kind: 'ops', ops: [op] }])
    tx.afterCommit(() => this.#checkpoints.done(account, group.id))
    return true
  }

  /** Takes part in a group to which somebody added this account who is no contact. */
  async accept(account: Identity, id: GroupId): Promise<void> {
    const { book } = this.#parts
    await this.#act(account, id, (tx) => {
      const row = book.row(tx, account, id)!
      if (row.state === 'left') throw new MyceliumError('not-a-member')
      book.putRow(tx, account, { ...row, state: 'joined' })
    })
  }

  /**
   * @returns once it is durable here; with a copy for every member, or where new keys are due, as soon as they are there
   * @throws `no-such-group`, `not-a-member`, `not-permitted`; `no-such-message` when what it is about is not here,
   *   `not-yours` when it changes the words of another
   */
  async say(account: Identity, id: GroupId, draft: Draft): Promise<Said> {
    return await this.#parts.store.write((tx) => this.sayIn(tx, account, id, draft))
  }

  /** The same in the caller's transaction. */
  sayIn(tx: WriteTx, account: Identity, id: GroupId, draft: Draft): Said {
    return this.#actIn(tx, account, id, (group) => {
      this.#checkMayWrite(tx, account, group)
      const { history } = this.#parts.conversations
      const partner = { kind: 'group', group: id } as const
      const row = history.begin(tx, account, groupConversation(id), partner)
      const arriving = this.#parts.post.stamped(account, partner, draft, history.citable(tx, account, row))
      const taken = history.take(tx, account, partner, arriving)
      if (taken.kind !== 'shown') throw new MyceliumError('malformed', { taken: taken.kind })
      this.#checkStands(tx, account, arriving)
      this.seal(tx, account, group, arriving)
      return { id: arriving.id, conversation: row.id }
    })
  }

  /** As `say` would find it now. */
  mayWrite(account: Identity, id: GroupId): 'yes' | 'not-a-member' | 'not-permitted' {
    const group = this.#parts.book.groupNow(account, id)
    if (group?.state.members.has(account) !== true) return 'not-a-member'
    const isAsked = this.row(account, id)?.state === 'invited'
    const isForAdmins = group.state.policy.post === 'admins' && !isAdmin(group.state, account)
    return isAsked || isForAdmins ? 'not-permitted' : 'yes'
  }

  /** That this account has read up to there, to the other members, where there are not too many and the rules let it. */
  tellRead(tx: WriteTx, account: Identity, id: GroupId, upTo: MessageId): void {
    const group = this.#parts.book.group(tx, account, id)
    if (group === undefined || this.#parts.book.row(tx, account, id)?.state !== 'joined') return
    const members = membersOf(group)
    if (!group.state.policy.readReceipts || members.length > limits.receiptMembersMax) return
    this.#announce(tx, account, group, members, [{ kind: 'read', heads: [upTo] }])
  }

  /** Nobody will take what a carrier brought to this member: of a message of ours that is told. @param payload of the carrier */
  failed(tx: WriteTx, account: Identity, to: Identity, payload: Uint8Array): void {
    for (const statement of decodeStatements(payload)) {
      if (statement.kind !== 'envelope') continue
      const said = this.#parts.book.saidIn(tx, account, readEnvelope(statement.envelope).id)
      if (said !== undefined) this.#parts.conversations.history.setFate(tx, account, said, to, 'failed')
    }
  }

  row(account: Identity, id: GroupId): GroupRow | undefined {
    return this.#parts.store.read((tx) => this.#parts.book.row(tx, account, id))
  }

  /** Everybody in the conversation but this account. */
  others(account: Identity, conversation: ConversationId): readonly Identity[] {
    const partner = this.#parts.conversations.get(account, conversation)?.partner
    if (partner?.kind !== 'group') return []
    const group = this.#parts.book.groupNow(account, partner.group)
    return group === undefined ? [] : membersOf(group).filter((member) => member !== account)
  }

  author(account: Identity): GroupAuthor {
    const { party, signing } = this.#parts.keyring.own(account)
    return { identity: account, device: party.device, key: signing }
  }

  /** Seals what was said for those who are members now, and tells them; waits where keys are due or missing. */
  seal(tx: WriteTx, account: Identity, group: Group, { id, encoded }: Pick<Arriving, 'id' | 'encoded'>): void {
    const { book, vault, groupPost } = this.#parts
    if (group.state.epochs.length === 0) this.renewKeys(tx, account, group)
    const epoch = sendingEpoch(group.state)
    if (epoch === undefined || !vault.holds(tx, account, group.id, epoch.op)) {
      const isFirst = book.unsealed(tx, account, group.id).length === 0
      book.putUnsealed(tx, account, group.id, this.#parts.conversations.history.feed.lastNumber(tx, account), id)
      if (isFirst && epoch !== undefined) this.askForKeys(tx, account, group, epoch.op)
      return
    }
    const { envelope, chain } = vault.seal(tx, group, epoch, this.author(account), encoded)
    book.putEnvelope(tx, account, id, envelope)
    book.putSaid(tx, account, envelope.id, id)
    groupPost.send(tx, account, group.id, {
      to: membersOf(group),
      statements: [
        ...(chain === undefined ? [] : [{ kind: 'chains', epoch: epoch.op, chains: [chain] } as const]),
        { kind: 'envelope', envelope: envelope.signed, asked: undefined },
      ],
      root: blobOf(decodeMessage(encoded))?.root,
    })
  }

  /** What waited for keys. */
  sealWaiting(tx: WriteTx, account: Identity, group: Group): void {
    const { book, vault, conversations } = this.#parts
    const epoch = sendingEpoch(group.state)
    if (epoch === undefined || !vault.holds(tx, account, group.id, epoch.op)) return
    const waiting = book.unsealed(tx, account, group.id)
    if (waiting.length === 0) return
    book.clearUnsealed(tx, account, group.id)
    for (const id of waiting) {
      const row = conversations.history.message(tx, account, id)
      if (row !== undefined) this.seal(tx, account, group, { id, encoded: row.encoded })
    }
  }

  /** New keys for those who are members now. */
  renewKeys(tx: WriteTx, account: Identity, group: Group): void {
    const { vault, groupPost } = this.#parts
    const { seed, commitment } = vault.drawSeed(group.id)
    const number = group.state.lastEpoch + 1
    const op = this.#do(tx, account, group, { kind: 'epoch', number, commitment })
    const [epoch] = group.state.epochs
    if (epoch === undefined) throw new TypeError('new keys are for sending')
    groupPost.send(tx, account, group.id, {
      to: membersOf(group),
      statements: [
        { kind: 'ops', ops: [op] },
        { kind: 'seed', epoch: epoch.op, seed },
      ],
    })
    vault.keep(tx, account, group, epoch, seed)
    this.sealWaiting(tx, account, group)
  }

  askForKeys(tx: WriteTx, account: Identity, group: Group, epoch: GroupOpId): void {
    this.#announce(tx, account, group, membersOf(group).slice(0, limits.groupAskedMax), [
      { kind: 'chainsWanted', epoch },
    ])
  }

  /** May a member have keys of an epoch? */
  mayHold(
    tx: ReadTx,
    account: Identity,
    group: Group,
    { epoch, member }: { readonly epoch: GroupOpId; readonly member: Identity },
  ): boolean {
    const devices = [...this.#parts.devicesOf(tx, account, member)]
    return devices.some((device) => group.mayHold(epoch, member, device))
  }

  /** Everything that somebody needs who has just been added. */
  welcome(tx: WriteTx, account: Identity, group: Group, member: Identity): void {
    const { vault, groupPost } = this.#parts
    const statements: Statement[] = [
      {
        kind: 'bundles',
        bundles: this.#bundlesOf(
          account,
          membersOf(group).filter((one) => one !== member),
        ),
      },
      { kind: 'ops', ops: [...group.ops()] },
      ...group.state.epochs
        .filter(({ op }) => this.mayHold(tx, account, group, { epoch: op, member }))
        .flatMap(({ op }) =>
          vault.headsOf(tx, account, group.id, op).map((chains): Statement => ({ kind: 'chains', epoch: op, chains })),
        ),
      ...this.#before(tx, account, group),
    ]
    groupPost.send(tx, account, group.id, { to: [member], statements })
  }

  /** What a newcomer takes as given, and where the rules share it, what was said lately. */
  #before(tx: ReadTx, account: Identity, group: Group): readonly Statement[] {
    const { history } = this.#parts.conversations
    const conversation = groupConversation(group.id)
    const heads = history.conversation(tx, account, conversation)?.heads ?? []
    const told = group.state.policy.sharesHistory
      ? // what was taken back has not the bytes any more that its id is of
        history
          .latest(tx, account, conversation, limits.groupHistoryMessages)
          .filter(({ id, row }) => messageIdOf(row.encoded) === id)
      : []
    const isTold = new Set(told.map(({ id }) => id))
    const given = new Set([...told.flatMap(({ row }) => decodeMessage(row.encoded).parents), ...heads])
    return [
      {
        kind: 'base',
        heads: [...given]
          .filter((id) => !isTold.has(id))
          .map((id) => ({ id, rank: history.message(tx, account, id)?.rank ?? 0 }))
          .slice(-limits.conversationHeadsMax),
      },
      ...(told.length === 0 ? [] : [{ kind: 'history', messages: told.map(({ row }) => row.encoded) } as const]),
    ]
  }

  /** Told to whoever follows this account's conversations. */
  changed(tx: WriteTx, account: Identity, id: GroupId): void {
    const { history } = this.#parts.conversations
    const conversation = groupConversation(id)
    const row = history.begin(tx, account, conversation, { kind: 'group', group: id })
    if (history.conversation(tx, account, conversation) === undefined) history.put(tx, account, row)
    history.feed.step(tx, account, conversation, { kind: 'group' })
  }

  async #act<T>(account: Identity, id: GroupId, use: (tx: WriteTx, group: Group) => T): Promise<T> {
    return await this.#parts.store.write((tx) => this.#actIn(tx, account, id, (group) => use(tx, group)))
  }

  #actIn<T>(tx: WriteTx, account: Identity, id: GroupId, use: (group: Group) => T): T {
    const group = this.#parts.book.group(tx, account, id)
    if (group === undefined || this.#parts.book.row(tx, account, id) === undefined)
      throw new MyceliumError('no-such-group')
    const before = group.heads.join()
    const result = use(group)
    if (group.heads.join() !== before) this.changed(tx, account, id)
    return result
  }

  #doOneIn(tx: WriteTx, account: Identity, id: GroupId, action: (group: Group) => GroupAction): void {
    this.#actIn(tx, account, id, (group) => {
      const op = this.#do(tx, account, group, action(group))
      this.#announce(tx, account, group, membersOf(group), [{ kind: 'ops', ops: [op] }])
    })
  }

  /** @throws `not-permitted`, `not-a-member`, `group-full`, `group-fork` */
  #do(tx: WriteTx, account: Identity, group: Group, action: GroupAction): SignedGroupOp {
    const nowMs = this.#parts.ambient.clock.nowMs()
    const op = group.compose(this.author(account), action, nowMs)
    this.#parts.book.add(tx, account, group, op, nowMs)
    return op
  }

  #addition(account: Identity, member: Identity): GroupAction {
    const { keyring } = this.#parts
    const logHead = keyring.accounts().includes(member)
      ? keyring.own(member).party.logHead
      : keyring.contact(account, member)?.logHead
    if (logHead === undefined) throw new MyceliumError('no-such-contact')
    return { kind: 'add', member, logHead }
  }

  #announce(
    tx: WriteTx,
    account: Identity,
    group: Group,
    to: readonly Identity[],
    statements: readonly Statement[],
  ): void {
    this.#parts.groupPost.send(tx, account, group.id, { to, statements })
  }

  #bundlesOf(account: Identity, people: readonly Identity[]): readonly Uint8Array[] {
    const { keyring, here } = this.#parts
    return people.flatMap((identity) => keyring.bundleOf(account, identity, here()) ?? [])
  }

  /** @throws `not-a-member`, `not-permitted` */
  #checkMayWrite(tx: ReadTx, account: Identity, group: Group): void {
    if (this.#parts.book.row(tx, account, group.id)?.state === 'invited')
      throw new MyceliumError('not-permitted', { reason: 'accept' })
    checkMayWrite(group.state, account)
  }

  /** @throws `no-such-message`, `not-yours` */
  #checkStands(tx: ReadTx, account: Identity, { id, message }: Arriving): void {
    const { history } = this.#parts.conversations
    const about = aboutOf(message)
    if (about === undefined || history.message(tx, account, id)?.state === 'shown') return
    const target: MessageId = about.target
    throw new MyceliumError(history.message(tx, account, target)?.state === 'shown' ? 'not-yours' : 'no-such-message')
  }
}

const membersOf = (group: Group): readonly Identity[] => [...group.state.members.keys()]

/** @throws `not-a-member`, `not-permitted` */
function checkMayWrite(roster: Roster, identity: Identity): void {
  if (!roster.members.has(identity)) throw new MyceliumError('not-a-member')
  if (roster.policy.post === 'admins' && !isAdmin(roster, identity)) throw new MyceliumError('not-permitted')
}

/** Whoever brings new keys when they are due: the most senior admin, so that not everybody does. */
export const keyBringer = (roster: Roster): Identity | undefined => adminsOf(roster)[0]

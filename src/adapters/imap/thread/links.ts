/** Who answers whom, by Message-ID (RFC 5256 §3, steps 1 to 3 of REFERENCES). */
import type { Pace } from '../pace.ts'
import type { Node, ThreadMessage } from './forest.ts'

const none = -1

export class Links {
  /** By index; dummies hold `undefined`. */
  readonly #messages: (ThreadMessage | undefined)[] = []
  readonly #parents: number[] = []
  readonly #byId = new Map<number, number>()

  /** Steps 1.A and 1.B. */
  add(message: ThreadMessage): void {
    const firstNew = this.#parents.length
    const own = this.#indexOf(message)
    const named = new Set<number>()
    let parent = none
    for (const id of message.references) {
      const child = this.#byId.get(id) ?? this.#newNode(undefined, id)
      // A link that exists is not changed by what others say of it. Who is new has nobody below, and who is named twice
      // is not looked at twice: looking takes as long as the thread is.
      const mayLink = parent !== none && this.#parents[child] === none && !named.has(child)
      if (mayLink && (child >= firstNew || !this.#isAbove(child, parent))) this.#parents[child] = parent
      named.add(child)
      parent = child
    }
    // What the message itself says of its parent counts more, also that it has none.
    this.#parents[own] = none
    const isBelowNone = own >= firstNew && !named.has(own)
    if (parent !== none && (isBelowNone || !this.#isAbove(own, parent))) this.#parents[own] = parent
  }

  /** Steps 2 and 3: trees without dummies, except above two or more threads that belong together. */
  async roots(pace: Pace): Promise<Node[]> {
    const nodes: Node[] = []
    await pace.each(this.#messages, (message) => nodes.push({ message, children: [] }))
    const roots: Node[] = []
    await pace.each(nodes.keys(), (index) => {
      const parent = this.#parents[index]!
      if (parent === none) roots.push(nodes[index]!)
      else nodes[parent]!.children.push(nodes[index]!)
    })
    await pace.each(await parentsLast(roots, pace), (node) => {
      node.children = withoutDummies(node.children)
    })
    const kept: Node[] = []
    await pace.each(roots, (root) => {
      if (root.message !== undefined || root.children.length > 1) kept.push(root)
      else for (const child of root.children) kept.push(child)
    })
    return kept
  }

  /** The node of a message: the dummy that waits for it, or a new one. Only the first of one Message-ID is known by it. */
  #indexOf(message: ThreadMessage): number {
    const waiting = message.id === 0 ? undefined : this.#byId.get(message.id)
    if (waiting === undefined) return this.#newNode(message, message.id)
    if (this.#messages[waiting] !== undefined) return this.#newNode(message, 0)
    this.#messages[waiting] = message
    return waiting
  }

  #newNode(message: ThreadMessage | undefined, id: number): number {
    const index = this.#messages.push(message) - 1
    this.#parents.push(none)
    if (id !== 0) this.#byId.set(id, index)
    return index
  }

  /** Whether a link below `node` would close a circle. */
  #isAbove(node: number, below: number): boolean {
    for (let at = below; at !== none; at = this.#parents[at]!) if (at === node) return true
    return false
  }
}

async function parentsLast(roots: readonly Node[], pace: Pace): Promise<readonly Node[]> {
  const order: Node[] = [...roots]
  // It grows while it is walked: every node stands after its parent.
  await pace.each(order, (node) => {
    for (const child of node.children) order.push(child)
  })
  return order.toReversed()
}

/** Each dummy makes room for its children. The longest list is kept and the others are added: order comes later. */
function withoutDummies(children: Node[]): Node[] {
  let kept: Node[] = []
  const real: Node[] = []
  for (const child of children) {
    if (child.message !== undefined) real.push(child)
    else if (child.children.length > kept.length) {
      for (const node of kept) child.children.push(node)
      kept = child.children
    } else for (const node of child.children) kept.push(node)
  }
  if (kept.length === 0) return real
  for (const node of real) kept.push(node)
  return kept
}

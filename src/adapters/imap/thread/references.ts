/**
 * THREAD=REFERENCES (RFC 5256 §3), and REFS, which is the same without a look at subjects and with the threads in the
 * order of their latest arrival.
 */
import type { Pace } from '../pace.ts'
import { inOrder } from '../sort/order.ts'
import { bySentDate, firstMessage, type Node, type ThreadMessage } from './forest.ts'
import { Links } from './links.ts'
import { mergeSubjects } from './subjects.ts'

export async function threadByReferences(messages: readonly ThreadMessage[], pace: Pace): Promise<readonly Node[]> {
  const roots = await inOrder(await linked(messages, pace), sentDates(), pace)
  const merged = await mergeSubjects(roots, pace)
  await sortChildren(merged, pace)
  return await inOrder(merged, sentDates(), pace)
}

export async function threadByRefs(messages: readonly ThreadMessage[], pace: Pace): Promise<readonly Node[]> {
  const roots = await linked(messages, pace)
  await sortChildren(roots, pace)
  const latest = new Map<Node, number>()
  await pace.each(roots, (root) => latest.set(root, latestArrival(root)))
  return await inOrder(roots, (a, b) => latest.get(a)! - latest.get(b)! || firstUid(a) - firstUid(b), pace)
}

/** Steps 1 to 3: links by Message-ID, without the dummies that nobody needs. */
async function linked(messages: readonly ThreadMessage[], pace: Pace): Promise<Node[]> {
  const links = new Links()
  for (const message of messages) {
    links.add(message)
    if (pace.isDue) await pace.rest()
  }
  return await links.roots(pace)
}

/** What a dummy is sorted by is found once. */
function sentDates(): (a: Node, b: Node) => number {
  const first = new Map<Node, Node>()
  const known = (node: Node): Node => {
    if (node.message !== undefined) return node
    let own = first.get(node)
    if (own === undefined) {
      own = { message: firstMessage(node), children: [] }
      first.set(node, own)
    }
    return own
  }
  return (a, b) => bySentDate(known(a), known(b))
}

/** Step 6, below the roots. */
async function sortChildren(roots: readonly Node[], pace: Pace): Promise<void> {
  for (const node of allNodes(roots)) {
    if (node.children.length > 1) node.children = await inOrder(node.children, bySentDate, pace)
    if (pace.isDue) await pace.rest()
  }
}

function* allNodes(roots: readonly Node[]): Generator<Node> {
  const waiting = [...roots]
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    yield node
    for (const child of node.children) waiting.push(child)
  }
}

function latestArrival(root: Node): number {
  let latest = 0
  for (const { message } of allNodes([root])) latest = Math.max(latest, message?.arrivedMs ?? 0)
  return latest
}

const firstUid = (node: Node): number => firstMessage(node).uid

/** THREAD=ORDEREDSUBJECT (RFC 5256 §3): one thread for each base subject, the oldest message above all others. */
import type { Pace } from '../pace.ts'
import { inOrder } from '../sort/order.ts'
import { bySentDate, type Node, type ThreadMessage } from './forest.ts'

export async function threadBySubject(messages: readonly ThreadMessage[], pace: Pace): Promise<readonly Node[]> {
  const nodes: Node[] = []
  await pace.each(messages, (message) => nodes.push({ message, children: [] }))
  const threads = new Map<string, Node>()
  await pace.each(await inOrder(nodes, bySentDate, pace), (node) => {
    const { subject } = node.message!
    const thread = threads.get(subject)
    if (thread === undefined) threads.set(subject, node)
    else thread.children.push(node)
  })
  return [...threads.values()]
}

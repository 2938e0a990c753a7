/** Threads that only their subject holds together become one (RFC 5256 §3, step 5 of REFERENCES). */
import type { Pace } from '../pace.ts'
import { firstMessage, type Node } from './forest.ts'

/** @param roots oldest first; the threads that come out are in no particular order */
export async function mergeSubjects(roots: readonly Node[], pace: Pace): Promise<Node[]> {
  const bySubject = await representatives(roots, pace)
  const merged = new Set<Node>()
  await pace.each(roots, (node) => {
    const { subject } = firstMessage(node)
    const other = bySubject.get(subject)
    if (subject === '' || other === undefined || other === node) {
      merged.add(node)
      return
    }
    // It may have been replaced by a dummy that holds it: that one is a thread now.
    merged.add(other)
    const joined = join(other, node)
    if (joined === other) return
    merged.delete(other)
    merged.add(joined)
    bySubject.set(subject, joined)
  })
  return [...merged]
}

/** Step 5.B: of the threads with one subject, a dummy rather than a message, and a message rather than an answer to one. */
async function representatives(roots: readonly Node[], pace: Pace): Promise<Map<string, Node>> {
  const bySubject = new Map<string, Node>()
  await pace.each(roots, (node) => {
    const { subject } = firstMessage(node)
    if (subject === '') return
    const other = bySubject.get(subject)
    const isBetter =
      other === undefined ||
      (other.message !== undefined && (node.message === undefined || (isReply(other) && !isReply(node))))
    if (isBetter) bySubject.set(subject, node)
  })
  return bySubject
}

const isReply = (node: Node): boolean => firstMessage(node).isReply

/** Step 5.C. @returns what stands for the subject from now on */
function join(other: Node, node: Node): Node {
  if (other.message === undefined) {
    if (node.message !== undefined) other.children.push(node)
    else for (const child of node.children) other.children.push(child)
    return other
  }
  if (isReply(node) && !isReply(other)) {
    other.children.push(node)
    return other
  }
  return { message: undefined, children: [other, node] }
}

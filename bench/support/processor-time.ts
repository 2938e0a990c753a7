/** Processor time of a process and everything that it started, from the kernel's own count in nanoseconds. */
import { readdirSync, readFileSync } from 'node:fs'

/** Milliseconds so far. Of processes that still run: a server that has logged its client in does not start new ones for it. */
export function processorMs(root: number): number {
  let ns = 0
  for (const pid of treeOf(root)) ns += processorNs(pid)
  return ns / 1e6
}

function treeOf(root: number): readonly number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? tryRead(`/proc/${entry}/stat`) : undefined
    if (stat === undefined) continue
    // the name in parentheses may hold anything
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
  }
  const tree: number[] = [root]
  for (let at = 0; at < tree.length; at += 1) tree.push(...(children.get(tree[at]!) ?? []))
  return tree
}

function processorNs(pid: number): number {
  let ns = 0
  try {
    for (const task of readdirSync(`/proc/${pid}/task`))
      ns += Number(tryRead(`/proc/${pid}/task/${task}/schedstat`)?.split(' ')[0] ?? 0)
  } catch {
    // ended since
  }
  return ns
}

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

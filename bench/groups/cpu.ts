/** Processor time of this process over some work, in milliseconds. */
export async function cpuMs(work: () => void | Promise<void>): Promise<number> {
  const started = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(started)
  return (user + system) / 1000
}

/** Median of `rounds` rounds, after one that warms up. */
export async function medianCpuMs(rounds: number, round: () => Promise<number>): Promise<number> {
  await round()
  const all: number[] = []
  for (let done = 0; done < rounds; done += 1) all.push(await round())
  return all.toSorted((a, b) => a - b)[Math.floor(rounds / 2)]!
}

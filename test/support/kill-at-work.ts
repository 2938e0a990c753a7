import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Lines that a program printed until it died: it is killed at its work once it has said `linesMin`, or ends by itself. */
export async function killAtWork(
  program: string,
  args: readonly string[],
  linesMin: number,
): Promise<readonly string[]> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  const ended = new Promise<void>((resolve) => void child.on('close', () => resolve()))
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    if (lines.length >= linesMin) child.kill('SIGKILL')
  })
  await ended
  return lines
}

/** A virtual X display for programs with windows. */
import { Program } from './processes.ts'

export interface Display extends AsyncDisposable {
  /** For the DISPLAY variable, such as `:99`. */
  readonly name: string
}

/** Xvfb picks a free display number itself and prints it. */
export async function openDisplay(size: `${number}x${number}` = '1280x900'): Promise<Display> {
  const server = new Program('Xvfb', ['-displayfd', '1', '-screen', '0', `${size}x24`, '-nolisten', 'tcp', '-noreset'])
  const number = await server.waitFor('display number', 10_000, () => /^(\d+)\n/m.exec(server.stdout)?.[1])
  return {
    name: `:${number}`,
    [Symbol.asyncDispose]: async () => {
      await server.stop()
    },
  }
}

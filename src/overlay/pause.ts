/** Waits so long, or until the signal aborts; it does not throw, so whoever waits looks at the signal. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<unknown>()
  const timer = setTimeout(resolve, ms, undefined)
  signal.addEventListener('abort', resolve, { once: true })
  await promise
  clearTimeout(timer)
  signal.removeEventListener('abort', resolve)
}

/** Where a program can be reached (RFC 8839): addresses in its own network tell others more than a call needs. */
import type { Json } from '../http/api.ts'

const isHost = (candidate: string): boolean => / typ host(?: |$)/.test(candidate)
/** Relayed and reflexive ones stay, without the private address that they were made from. */
const withoutBase = (candidate: string): string => candidate.replace(/ raddr \S+ rport \d+/, ' raddr 0.0.0.0 rport 0')

const sdpWithoutHosts = (sdp: string): string =>
  sdp
    .split(/\r?\n/)
    .filter((line) => !(line.startsWith('a=candidate:') && isHost(line)))
    .map((line) => (line.startsWith('a=candidate:') ? withoutBase(line) : line))
    .join('\r\n')

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The content of an `m.call.*` event without candidates of type host. */
export function withoutHosts(content: Json): Json {
  const said = Object.entries(content).map(([name, value]): [string, unknown] => {
    if (
      (name === 'offer' || name === 'answer' || name === 'description') &&
      isObject(value) &&
      typeof value['sdp'] === 'string'
    )
      return [name, { ...value, sdp: sdpWithoutHosts(value['sdp']) }]
    if (name !== 'candidates' || !Array.isArray(value)) return [name, value]
    const kept = value
      .filter((one) => !(isObject(one) && typeof one['candidate'] === 'string' && isHost(one['candidate'])))
      .map((one: unknown) =>
        isObject(one) && typeof one['candidate'] === 'string'
          ? { ...one, candidate: withoutBase(one['candidate']) }
          : one,
      )
    return [name, kept]
  })
  return Object.fromEntries(said)
}

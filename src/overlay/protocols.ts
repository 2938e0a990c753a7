/** Protocol ids (docs/protocol/overlay.md) and the bounds of each ask. */
import type { AskTopic } from '../core/delivery/ports.ts'
import { askTopics } from '../core/delivery/ports.ts'
import { limits } from '../core/limits.ts'

export const linkProtocol = '/mycelium/link/1'
export const pathProtocol = '/mycelium/path/1'
export const reachProtocol = '/mycelium/reach/1'
export const punchProtocol = '/mycelium/punch/1'
export const routingProtocol = '/mycelium/routing/1'
export const askProtocol = (topic: AskTopic): string => `/mycelium/${topic}/1`

const topicOf = new Map<string, AskTopic>(askTopics.map((topic) => [askProtocol(topic), topic]))
export const askTopicOf = (protocol: string): AskTopic | undefined => topicOf.get(protocol)

/** Answered by the relay of this gateway, not by delivery (docs/protocol/relay.md). */
export const relayProtocol = '/mycelium/relay/1'
export const relayWatchProtocol = '/mycelium/relay-watch/1'

/** Streams of one protocol on one connection. */
export function streamsMaxOf(protocol: string): number {
  if (protocol === pathProtocol) return limits.pathsPerNeighbourMax
  return protocol === relayWatchProtocol ? limits.relayWatchersPerGatewayMax : limits.asksPerPeerMax * 2
}

export const protocols: readonly string[] = [
  linkProtocol,
  pathProtocol,
  routingProtocol,
  reachProtocol,
  punchProtocol,
  ...topicOf.keys(),
  relayProtocol,
  relayWatchProtocol,
]

export interface AskBounds {
  /** Octets of the largest request taken, and of the largest answer given. */
  readonly requestMax: number
  readonly answerMax: number
  /** For both together, milliseconds. */
  readonly msMax: number
  /** For a request of so many octets to arrive, milliseconds; where it is not given, `msMax`. */
  readonly readMs?: (octets: number) => number
}

const bounds = (answerMax: number): AskBounds => ({
  requestMax: limits.askRequestBytesMax,
  answerMax,
  msMax: limits.askMsMax,
})
export const askBounds: Readonly<Record<AskTopic, AskBounds>> = {
  bundle: bounds(limits.bundleBytesMax + 16 * 1024),
  handshake: bounds(limits.askRequestBytesMax),
  blob: bounds(limits.askAnswerBytesMax),
  device: bounds(limits.askAnswerBytesMax),
}
export const relayAskBounds: AskBounds = {
  requestMax: limits.relayRequestBytesMax,
  answerMax: limits.relayAnswerBytesMax,
  msMax: limits.relayAskMsMax,
  readMs: (octets) => limits.relayAskReadMs + Math.ceil(octets / 16),
}

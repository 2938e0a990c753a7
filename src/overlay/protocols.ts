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

export const protocols: readonly string[] = [
  linkProtocol,
  pathProtocol,
  routingProtocol,
  reachProtocol,
  punchProtocol,
  ...topicOf.keys(),
]

/** Streams of one protocol that a connection may have, in each direction. */
export const streamsMax = (protocol: string): number =>
  protocol === pathProtocol ? limits.pathsPerNeighbourMax : limits.asksPerPeerMax * 2

/** Octets of the largest request each topic takes, and of the largest answer it gives. */
export const askBounds: Readonly<Record<AskTopic, { readonly requestMax: number; readonly answerMax: number }>> = {
  bundle: { requestMax: limits.askRequestBytesMax, answerMax: limits.bundleBytesMax + 16 * 1024 },
  handshake: { requestMax: limits.askRequestBytesMax, answerMax: limits.askRequestBytesMax },
  blob: { requestMax: limits.askRequestBytesMax, answerMax: limits.askAnswerBytesMax },
}

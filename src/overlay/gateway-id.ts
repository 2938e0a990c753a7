/** What a log line may show of a gateway: the end of its peer id, because every Ed25519 one begins alike. */
import type { GatewayId } from '../core/ids.ts'

export const shortId = (gateway: GatewayId): string => gateway.slice(-8)

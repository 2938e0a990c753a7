/**
 * Segments and long contents that another device of the account fetches now: sealed and cut into chunks as the blobs of
 * mail are, held in memory for some minutes. Whoever knows a root may fetch; only holders of the key can read.
 */
import type { Ambient } from '../ambient.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { BlobRoot } from '../ids.ts'
import { limits } from '../limits.ts'
import {
  chunkAnswerBytesMax,
  chunkCount,
  decodeChunkAnswer,
  decodeChunkRequest,
  encodeChunkAnswer,
  encodeChunkRequest,
  leafOf,
  merkleLevels,
  merkleProof,
  merkleRoot,
  openChunk,
  proofHolds,
  sealChunk,
} from './blob-chunks.ts'
import type { AskHandler, GatewayAddress, Overlay } from './ports.ts'
import type { Fetchable } from './sync-messages.ts'

interface Served extends Fetchable {
  readonly leaves: readonly Uint8Array[]
  readonly read: (from: number, to: number) => Promise<Uint8Array>
  /** Monotonic. */
  readonly sinceMs: number
}

export class Segments {
  readonly #served = new Map<BlobRoot, Served>()
  readonly #ambient: Ambient

  constructor(ambient: Ambient) {
    this.#ambient = ambient
  }

  /** Can be fetched from here on. */
  async serve(
    key: Uint8Array,
    { size, chunkBytes, read }: Pick<Served, 'size' | 'chunkBytes' | 'read'>,
  ): Promise<Fetchable> {
    const leaves: Uint8Array[] = []
    for (let index = 0; index < chunkCount(size, chunkBytes); index += 1) {
      const plaintext = await read(index * chunkBytes, Math.min(size, (index + 1) * chunkBytes))
      leaves.push(leafOf(index, sealChunk(key, index, plaintext)))
    }
    const root = merkleRoot(leaves, size, chunkBytes)
    const sinceMs = this.#ambient.clock.monotonicMs()
    this.#served.delete(root)
    this.#served.set(root, { root, key, size, chunkBytes, leaves, read, sinceMs })
    this.#sweep(sinceMs)
    return { root, key, size, chunkBytes }
  }

  #sweep(nowMs: number): void {
    for (const [root, { sinceMs }] of this.#served) {
      if (this.#served.size <= limits.replicaServedMax && nowMs - sinceMs < limits.replicaServedMs) return
      this.#served.delete(root)
    }
  }

  readonly answer: AskHandler = async (request) => {
    try {
      const { root, index } = decodeChunkRequest(request)
      const served = this.#served.get(root)
      if (served === undefined || index >= served.leaves.length) return undefined
      const { key, size, chunkBytes, leaves, read } = served
      this.#served.delete(root)
      this.#served.set(root, { ...served, sinceMs: this.#ambient.clock.monotonicMs() })
      const plaintext = await read(index * chunkBytes, Math.min(size, (index + 1) * chunkBytes))
      return encodeChunkAnswer({
        proof: merkleProof(merkleLevels(leaves), index),
        sealed: sealChunk(key, index, plaintext),
      })
    } catch (error) {
      if (hasCode(error, 'malformed') || hasCode(error, 'too-large') || hasCode(error, 'no-such-message'))
        return undefined
      throw error
    }
  }
}

/** @throws `unreachable`, `peer-misbehaved` */
export async function fetchChunk(
  overlay: Overlay,
  { from, what, index }: { readonly from: GatewayAddress; readonly what: Fetchable; readonly index: number },
  { signal }: { readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.chunkAskMs)])
  const request = encodeChunkRequest({ root: what.root, index })
  const answer = await overlay.ask(from, 'blob', request, { signal: bounded, answerBytesMax: chunkAnswerBytesMax })
  const { proof, sealed } = decodeChunkAnswer(answer)
  const plaintext = proofHolds(what, index, sealed, proof) ? openChunk(what.key, index, sealed) : undefined
  const expected = Math.min(what.chunkBytes, what.size - index * what.chunkBytes)
  if (plaintext?.length !== expected) throw new MyceliumError('peer-misbehaved', { index })
  return plaintext
}

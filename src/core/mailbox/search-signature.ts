/**
 * ◆ Which runs of three octets a text has, as bits: a text that lacks one of a needle's runs does not have the needle.
 * Texts are folded and in UTF-8, so that one character of Chinese is a run already. A long text is cut, because in a
 * long one every run occurs somewhere.
 *
 * A piece: u16 octets of bits, the bits. A run's bit is its hash scaled to their number, lowest bit first.
 */
import { concat } from '../bytes.ts'

const runOctets = 3
/** Pieces overlap by this much: no needle, as far as it is looked at, lies across a cut unseen. */
const needleOctetsMax = 256
const firstPieceOctets = 32 * 1024
/** Each piece is twice as long as the one before; the last takes all that is left. */
const piecesMax = 7
const bitsPerRun = 4
const pieceOctetsMax = 16 * 1024

/** What to look for. */
export interface Needle {
  readonly octets: Buffer
  /** Of its runs, each once; none for a needle too short to have one. */
  readonly hashes: Uint32Array
}

export function needleOf(folded: string): Needle {
  const octets = Buffer.from(folded, 'utf8')
  const hashes = new Set<number>()
  for (let at = runOctets; at <= Math.min(octets.length, needleOctetsMax); at += 1)
    hashes.add(hashOf((octets[at - 3]! << 16) | (octets[at - 2]! << 8) | octets[at - 1]!))
  return { octets, hashes: Uint32Array.from(hashes) }
}

/** Spreads a run over 32 bits (the finaliser of MurmurHash3). */
function hashOf(run: number): number {
  let hash = Math.imul(run ^ (run >>> 16), 0x85eb_ca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

const bitOf = (hash: number, bits: number): number => Math.floor((hash / 0x1_0000_0000) * bits)

/** Makes signatures; holds 2 MB, so one of it serves many. */
export class SignatureMaker {
  readonly #seen = new Uint32Array(2 ** 24 / 32)
  #runs = new Uint32Array(4096)

  /** @param text folded, UTF-8 */
  sign(text: Uint8Array): Uint8Array {
    const pieces: Uint8Array[] = []
    let from = 0
    for (let octets = firstPieceOctets; from < text.length; octets *= 2) {
      const isLast = pieces.length === piecesMax - 1 || from + octets + needleOctetsMax >= text.length
      const to = isLast ? text.length : from + octets + needleOctetsMax
      pieces.push(this.#piece(text.subarray(from, to)))
      if (isLast) break
      from += octets
    }
    return concat(...pieces)
  }

  #piece(text: Uint8Array): Uint8Array {
    const count = this.#collect(text)
    const octets = Math.min(pieceOctetsMax, Math.ceil((count * bitsPerRun) / 8))
    const piece = Buffer.alloc(2 + octets)
    piece.writeUInt16BE(octets)
    for (let index = 0; index < count; index += 1) {
      const run = this.#runs[index]!
      this.#seen[run >>> 5] = 0
      const bit = bitOf(hashOf(run), octets * 8)
      piece[2 + (bit >>> 3)]! |= 1 << (bit & 7)
    }
    return piece
  }

  /** Fills `#runs` with the runs of a text, each once, and leaves their marks in `#seen`. @returns how many */
  #collect(text: Uint8Array): number {
    let count = 0
    let run = text.length < 2 ? 0 : (text[0]! << 8) | text[1]!
    for (let at = 2; at < text.length; at += 1) {
      run = ((run << 8) | text[at]!) & 0xff_ffff
      const mark = 1 << (run & 31)
      if ((this.#seen[run >>> 5]! & mark) !== 0) continue
      this.#seen[run >>> 5]! |= mark
      if (count === this.#runs.length) this.#grow()
      this.#runs[count] = run
      count += 1
    }
    return count
  }

  #grow(): void {
    const grown = new Uint32Array(2 * this.#runs.length)
    grown.set(this.#runs)
    this.#runs = grown
  }
}

/** False only when the signed text does not have the needle. */
export function mayInclude(signature: Uint8Array, { hashes }: Needle): boolean {
  if (hashes.length === 0) return true
  for (let at = 0; at < signature.length;) {
    const octets = (signature[at]! << 8) | signature[at + 1]!
    if (hasAll(signature, at + 2, octets * 8, hashes)) return true
    at += 2 + octets
  }
  return false
}

function hasAll(signature: Uint8Array, at: number, bits: number, hashes: Uint32Array): boolean {
  if (bits === 0) return false
  for (const hash of hashes) {
    const bit = bitOf(hash, bits)
    if ((signature[at + (bit >>> 3)]! & (1 << (bit & 7))) === 0) return false
  }
  return true
}

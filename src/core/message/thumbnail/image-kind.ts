/** What an image is and how large it says it is, from its first octets: before anything decodes it. */

export const imageKinds = ['png', 'jpeg', 'gif', 'webp'] as const
export type ImageKind = (typeof imageKinds)[number]

export interface ImageHead {
  readonly kind: ImageKind
  /** Pixels. */
  readonly width: number
  readonly height: number
}

const startsWith = (bytes: Uint8Array, at: number, text: string): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.max(0, Math.min(text.length, bytes.length - at))).toString(
    'latin1',
  ) === text

/** `undefined` for everything else, whatever it is called. */
export function imageHead(bytes: Uint8Array): ImageHead | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (bytes.length < 30) return undefined
  const found = pngHead(bytes, view) ?? gifHead(bytes, view) ?? webpHead(bytes, view) ?? jpegHead(bytes, view)
  return found !== undefined && found.width > 0 && found.height > 0 ? found : undefined
}

const pngHead = (bytes: Uint8Array, view: DataView): ImageHead | undefined =>
  startsWith(bytes, 0, '\x89PNG\r\n\x1A\n') && startsWith(bytes, 12, 'IHDR')
    ? { kind: 'png', width: view.getUint32(16), height: view.getUint32(20) }
    : undefined

const gifHead = (bytes: Uint8Array, view: DataView): ImageHead | undefined =>
  startsWith(bytes, 0, 'GIF87a') || startsWith(bytes, 0, 'GIF89a')
    ? { kind: 'gif', width: view.getUint16(6, true), height: view.getUint16(8, true) }
    : undefined

function webpHead(bytes: Uint8Array, view: DataView): ImageHead | undefined {
  if (!startsWith(bytes, 0, 'RIFF') || !startsWith(bytes, 8, 'WEBP')) return undefined
  const u24 = (at: number): number => view.getUint16(at, true) + bytes[at + 2]! * 65_536
  if (startsWith(bytes, 12, 'VP8X')) return { kind: 'webp', width: u24(24) + 1, height: u24(27) + 1 }
  if (startsWith(bytes, 12, 'VP8L')) {
    const bits = view.getUint32(21, true)
    return { kind: 'webp', width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
  }
  if (!startsWith(bytes, 12, 'VP8 ')) return undefined
  return { kind: 'webp', width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
}

/** The first frame header (SOF0 … SOF15 without DHT, JPG and DAC) among the segments. */
function jpegHead(bytes: Uint8Array, view: DataView): ImageHead | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1]!
    if (marker === 0xff) {
      at += 1
      continue
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame) return { kind: 'jpeg', width: view.getUint16(at + 7), height: view.getUint16(at + 5) }
    at += 2 + view.getUint16(at + 2)
  }
  return undefined
}

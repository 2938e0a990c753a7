/** Pixels made fewer: each new one is the mean of the old ones that it stands for, on white where they are transparent. */

export interface Pixels {
  readonly width: number
  readonly height: number
  /** RGBA, row by row. */
  readonly data: Uint8ClampedArray
}

/** As large as fits a square of `edge`, never larger than it is. */
export function scaledTo(image: Pixels, edge: number): Pixels {
  const ratio = Math.min(1, edge / Math.max(image.width, image.height))
  const width = Math.max(1, Math.round(image.width * ratio))
  const height = Math.max(1, Math.round(image.height * ratio))
  const data = new Uint8ClampedArray(width * height * 4)
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      const rows = span(y, height, image.height)
      const columns = span(x, width, image.width)
      data.set(meanOf(image, rows, columns), (y * width + x) * 4)
    }
  return { width, height, data }
}

type Span = readonly [from: number, to: number]

function span(at: number, count: number, of: number): Span {
  const from = Math.floor((at * of) / count)
  return [from, Math.max(from + 1, Math.floor(((at + 1) * of) / count))]
}

function meanOf({ data, width }: Pixels, [top, bottom]: Span, [left, right]: Span): readonly number[] {
  let [red, green, blue] = [0, 0, 0]
  for (let y = top; y < bottom; y += 1)
    for (let x = left; x < right; x += 1) {
      const at = (y * width + x) * 4
      const alpha = data[at + 3]! / 255
      red += 255 + (data[at]! - 255) * alpha
      green += 255 + (data[at + 1]! - 255) * alpha
      blue += 255 + (data[at + 2]! - 255) * alpha
    }
  const count = (bottom - top) * (right - left)
  return [red / count, green / count, blue / count, 255]
}

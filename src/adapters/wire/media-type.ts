/** What kind of file it is, as far as that can be told to a browser without harm. */

const token = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}$/
const unknownType = 'application/octet-stream'

/** Without parameters, lower-case; `application/octet-stream` for what is none (RFC 6838 §4.2). */
export function mediaTypeOf(text: string | undefined): string {
  const type = (text ?? '').split(';')[0]!.trim().toLowerCase()
  return token.test(type) ? type : unknownType
}

/** Shown, not saved: pictures that can hold no script (an SVG can), sound and film. */
const isShownInline = (type: string): boolean =>
  /^(?:image\/(?:png|jpeg|gif|webp|avif|bmp|jxl|heic)|(?:audio|video)\/[\w.+-]+)$/.test(type)

/** RFC 6266 with RFC 8187 for what is not ASCII. */
export function disposition(type: string, name: string): string {
  const how = isShownInline(type) ? 'inline' : 'attachment'
  const plain = name.replaceAll(/[^\x20-\x7e]|["\\%]/g, '_')
  const exact = encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${how}; filename="${plain}"; filename*=UTF-8''${exact}`
}

/**
 * Tells a web browser or a TLS client that came to the wrong port. A page can make a browser talk to loopback ports
 * (DNS rebinding, form posts); its first line gives it away, and nothing it sends after that may be taken for commands.
 */
import { toLatin1 } from '../../core/bytes.ts'

const httpRequestLine = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PRI) (?:[/*]|https?:|[^ ]+:\d+ HTTP)/

/** Is a connection's first line an HTTP request? */
export const isHttpRequestLine = (line: Uint8Array): boolean => httpRequestLine.test(toLatin1(line.subarray(0, 300)))

/** Is a connection's first byte that of a TLS record (handshake, RFC 8446 §5.1)? No text protocol starts with it. */
export const isTlsRecord = (firstByte: number): boolean => firstByte === 0x16

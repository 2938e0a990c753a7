/** COMPRESS DEFLATE (RFC 4978): everything after the OK travels deflated, in both directions. */
import { Duplex } from 'node:stream'
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib'
import type { Command } from '../command.ts'
import { BadSyntax } from '../arguments.ts'
import { no, ok } from '../responses.ts'
import type { Session } from '../session.ts'

export const compress: Command = {
  when: 'user',
  run(session, args) {
    args.sp()
    if (args.name() !== 'DEFLATE') throw new BadSyntax('Unknown compression')
    args.end()
    if (session.isCompressed) return no('Compression is active already', 'COMPRESSIONACTIVE')
    // What was sent ahead in clear would be read as compressed.
    if (session.channel.reader.buffered > 0) return no('Wait for the answer before sending more', 'CANNOT')
    session.isCompressed = true
    return ok('Compressing')
  },
}

/** After the OK of COMPRESS has been queued. */
export async function beginCompression(session: Session): Promise<void> {
  await session.out.ready()
  session.channel.layerOver((below) => deflated(below))
}

/** What is written leaves deflated and flushed at once; what arrives is inflated, as fast as it is read. */
function deflated(below: Duplex): Duplex {
  const inflate = createInflateRaw()
  const deflate = createDeflateRaw({ flush: constants.Z_SYNC_FLUSH, level: 6, memLevel: 7 })
  below.pipe(inflate)
  deflate.pipe(below)
  const above = new Duplex({
    read: () => inflate.resume(),
    write: (chunk: Uint8Array, _encoding, done) => {
      if (deflate.write(chunk)) done()
      else deflate.once('drain', () => done())
    },
    final: (done) => {
      deflate.end(() => done())
    },
    destroy: (error, done) => {
      inflate.destroy()
      deflate.destroy()
      below.destroy()
      done(error)
    },
  })
  inflate.on('data', (chunk: Uint8Array) => {
    if (!above.push(chunk)) inflate.pause()
  })
  inflate.on('end', () => above.push(null))
  for (const part of [inflate, deflate, below]) part.on('error', () => above.destroy())
  below.on('close', () => above.destroy())
  return above
}

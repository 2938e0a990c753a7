/** BINARY[…], BINARY.PEEK[…] and BINARY.SIZE[…] (RFC 3516): parts without their transfer encoding. */
import { decodeTransfer, isIdentityEncoding } from '../../../core/message/mime-words.ts'
import type { Arguments } from '../arguments.ts'
import { readContent, writeString } from '../content.ts'
import { no, type Tagged } from '../responses.ts'
import type { PartRange, Summary } from '../summary.ts'
import type { FetchItem, FetchTarget } from './item.ts'
import { cut, partialLabel, readPartial, readPath } from './section.ts'

const unknownEncoding = no('The encoding of this part is not known', 'UNKNOWN-CTE')

const refuse =
  (path: string) =>
  (summary: Summary): Tagged | undefined => {
    const part = summary.part(path)
    return part !== undefined && part.encoding === undefined ? unknownEncoding : undefined
  }

const rangeOf = (part: PartRange): { from: number; to: number } => ({
  from: part.path === '' ? part.headerStart : part.bodyStart,
  to: part.bodyEnd,
})

/** The whole message has no encoding of its own. */
async function decoded({ session, content }: FetchTarget, part: PartRange): Promise<Uint8Array> {
  const octets = await readContent(session, content!, rangeOf(part))
  return part.path === '' ? octets : decodeTransfer(octets, part.encoding!)
}

export function readBinary(args: Arguments, isPeek: boolean): FetchItem {
  args.expect('[')
  const path = readPath(args)
  args.expect(']')
  const partial = readPartial(args)
  return {
    needs: 'content',
    setsSeen: !isPeek,
    refuse: refuse(path),
    async write(target) {
      const { session, summary } = target
      session.out.text(`BINARY[${path}]${partialLabel(partial)} `)
      const part = summary!.part(path)
      if (part === undefined) return session.out.text('NIL')
      const octets = await decoded(target, part)
      const { from, to } = cut({ from: 0, to: octets.length }, partial)
      const piece = octets.subarray(from, to)
      writeString(session, piece, piece.includes(0))
    },
  }
}

export function readBinarySize(args: Arguments): FetchItem {
  args.expect('[')
  const path = readPath(args)
  args.expect(']')
  return {
    needs: 'content',
    refuse: refuse(path),
    async write(target) {
      const part = target.summary!.part(path)
      const isPlain = part !== undefined && (part.path === '' || isIdentityEncoding(part.encoding))
      const range = part === undefined ? { from: 0, to: 0 } : rangeOf(part)
      const size = part === undefined || isPlain ? range.to - range.from : (await decoded(target, part)).length
      target.session.out.text(`BINARY.SIZE[${path}] ${size}`)
    },
  }
}

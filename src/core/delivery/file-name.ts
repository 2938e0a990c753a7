/** What a file is called in a message: as its author's program named it, without folders and without what no name has. */
import { limits } from '../limits.ts'
import { cutToOctets } from '../message/mail-writing.ts'

// oxlint-disable-next-line no-control-regex -- they are what is taken out
const unspeakable = /[\u0000-\u001F\u007F\u200E\u200F\u202A-\u202E\u2066-\u2069]/g

export function fileNameOf(named: string): string {
  const name = named.split(/[/\\]/).at(-1)!.replaceAll(unspeakable, '').trim()
  if (name === '' || name === '.' || name === '..') return 'file'
  if (Buffer.byteLength(name) <= limits.fileNameOctetsMax) return name
  const dot = name.lastIndexOf('.')
  const ending = dot > 0 && Buffer.byteLength(name.slice(dot)) <= 32 ? name.slice(dot) : ''
  return (
    cutToOctets(name.slice(0, name.length - ending.length), limits.fileNameOctetsMax - Buffer.byteLength(ending)) +
    ending
  )
}

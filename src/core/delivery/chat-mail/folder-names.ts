/** What the folder of a conversation is called when it is made: a person's or group's name, fit for every mail program. */
import { oneLine, cutToOctets } from '../../message/mail-writing.ts'
import { parseMailboxName } from '../../mailbox/names.ts'

const nameOctetsMax = 120

/**
 * One level of a mailbox name. `/` would make another level, `%` and `*` are wildcards of LIST, `"` and `\` end what
 * old programs quote; format characters would make two names look alike.
 */
export function safeLevel(name: string, otherwise: string): string {
  const level = cutToOctets(
    oneLine(name.normalize('NFC'))
      .replaceAll(/\p{Cf}/gu, '')
      .replaceAll(/[/\\%*"]/g, '-')
      .replaceAll(/^[.\s]+|[\s]+$/g, ''),
    nameOctetsMax,
  ).trimEnd()
  return level === '' || parseMailboxName(level) === undefined ? otherwise : level
}

/** `Chats/Bob`, or `Chats/Bob 2` and on where others have it. Names that differ in case only are one on some disks. */
export function freeName(parent: string, level: string, taken: ReadonlySet<string>): string {
  const lower = new Set([...taken].map((name) => name.toLowerCase()))
  let name = `${parent}/${level}`
  for (let number = 2; lower.has(name.toLowerCase()); number += 1) name = `${parent}/${level} ${number}`
  return name
}

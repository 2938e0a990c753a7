/** What mutation starts from: lines of the dialogues in the tests, and whatever once found a fault. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const testFolder = join(import.meta.dirname, '../../../test')

/** What clients say in test/transcripts/PROTOCOL, without tags. */
export function dialogueLines(protocol: 'imap' | 'smtp'): readonly string[] {
  const lines = new Set<string>()
  for (const text of filesIn(join(testFolder, 'transcripts', protocol), '.txt')) {
    for (const [, said] of text.matchAll(/^(?:\w+: )?C: (.*)$/gm)) {
      lines.add(protocol === 'imap' ? said!.replace(/^\S+ /, '') : said!)
    }
  }
  return [...lines]
}

/** Inputs that once found a fault, byte for byte (latin1). */
export const keptInputs = (kind: 'imap' | 'smtp' | 'mime'): readonly string[] =>
  filesIn(join(testFolder, 'fuzz-corpus', kind), '.bin')

function filesIn(folder: string, extension: string): readonly string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(extension))
  return names.toSorted().map((name) => readFileSync(join(folder, name), 'latin1'))
}

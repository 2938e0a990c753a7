/**
 * A million inputs that no honest program sends, to the IMAP and SMTP servers of a running gateway and to everything that
 * reads mail. `FUZZ_SEED=n` makes the same inputs again. What finds a fault is kept in test/fuzz-corpus.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bench } from '../scripts/bench.ts'
import { imapCommand } from './support/fuzz/imap-grammar.ts'
import { inputs } from './support/fuzz/inputs.ts'
import { mimeMail } from './support/fuzz/mime-grammar.ts'
import { readMail } from './support/fuzz/mime-target.ts'
import { dialogueLines, keptInputs } from './support/fuzz/seeds.ts'
import { ServerTarget } from './support/fuzz/server-target.ts'
import { smtpCommand } from './support/fuzz/smtp-grammar.ts'
import { seeded } from './support/seeded.ts'

/** A server hangs up on too many mistakes (SMTP sooner). */
const commandsPerConnection = { imap: 40, smtp: 12 } as const
const connectionsAtOnce = 24
const sayEvery = 5000

const mailForFuzz =
  'From: <a@b>\r\nSubject: fuzz\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n'

interface Found {
  faults: number
  slowestMs: number
}

export const bench: Bench = async ({ quick, say }) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
  if (!Number.isSafeInteger(seed)) throw new Error('FUZZ_SEED is a whole number')
  const share = quick ? 0.02 : 1
  say(`FUZZ_SEED=${seed}`)
  const mime = fuzzMime(seed, Math.ceil(600_000 * share), say)
  await using target = await ServerTarget.open()
  target.onSlow = (said, ms) => say(`${keep('imap', said.join('\r\n---\r\n'))}: ${ms} ms`)
  const imap = await fuzzServer(target, 'imap', { seed, count: Math.ceil(280_000 * share), say })
  const smtp = await fuzzServer(target, 'smtp', { seed, count: Math.ceil(140_000 * share), say })
  await target.checkOther()
  return [
    { name: 'inputs', unit: 'count', value: mime.count + imap + smtp },
    { name: 'commands_done', unit: 'count', value: target.done },
    { name: 'faults', unit: 'count', value: mime.faults },
    { name: 'unanswered', unit: 'count', value: target.unanswered },
    { name: 'leaked', unit: 'count', value: target.leaked },
    { name: 'slowest_mail', unit: 'ms', value: Math.round(mime.slowestMs) },
    { name: 'slowest_noop', unit: 'cpu_ms', value: Math.round(target.slowestMs) },
    { name: 'rss_max', unit: 'MB', value: Math.round(target.rssMax) },
  ]
}

function fuzzMime(seed: number, count: number, say: (line: string) => void): Found & { readonly count: number } {
  const found: Found = { faults: 0, slowestMs: 0 }
  let done = 0
  for (const input of inputs(mimeMail, keptInputs('mime'), seeded(seed))) {
    if (done === count) break
    done += 1
    try {
      found.slowestMs = Math.max(found.slowestMs, readMail(Buffer.from(input, 'latin1')))
    } catch (error) {
      found.faults += 1
      say(`${keep('mime', input)}: ${String(error)}`)
    }
    if (done % (sayEvery * 10) === 0) say(`mime: ${done} inputs, ${found.faults} faults`)
  }
  return { ...found, count: done }
}

async function fuzzServer(
  target: ServerTarget,
  protocol: 'imap' | 'smtp',
  { seed, count, say }: { seed: number; count: number; say: (line: string) => void },
): Promise<number> {
  const grammar = protocol === 'imap' ? imapCommand : smtpCommand
  const source = inputs(grammar, [...dialogueLines(protocol), ...keptInputs(protocol)], seeded(seed + 1))
  let done = 0
  const connection = async (): Promise<void> => {
    while (done < count) {
      const commands = Array.from({ length: commandsPerConnection[protocol] }, () => source.next().value as string)
      done += commands.length
      const before = target.unanswered + target.leaked
      const dialogue = protocol === 'imap' ? imapDialogue(target, commands) : smtpDialogue(target, commands)
      await target.converse(protocol, dialogue)
      if (target.unanswered + target.leaked > before) say(keep(protocol, commands.join('\r\n')))
      if (done % sayEvery < commands.length)
        say(`${protocol}: ${done} inputs, slowest NOOP ${target.slowestMs} ms of processor`)
    }
  }
  await Promise.all(Array.from({ length: connectionsAtOnce }, connection))
  return done
}

function imapDialogue(target: ServerTarget, commands: readonly string[]): string {
  const start = [target.imapLogin, `APPEND INBOX {${mailForFuzz.length}+}\r\n${mailForFuzz}`, 'SELECT INBOX']
  return [...start, ...commands, 'LOGOUT'].map((command, at) => `f${at} ${command}\r\n`).join('')
}

const smtpDialogue = (target: ServerTarget, commands: readonly string[]): string =>
  ['EHLO fuzz.example', target.smtpLogin, ...commands, 'QUIT'].map((command) => `${command}\r\n`).join('')

/** Keeps an input that found a fault, for test/fuzz-corpus; returns where. */
function keep(kind: 'imap' | 'smtp' | 'mime', input: string): string {
  const folder = join(tmpdir(), 'mycelium-fuzz')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${kind}-${Date.now()}.bin`)
  writeFileSync(file, input, 'latin1')
  return file
}

/** `recovery`: the 24 words, shown until they are confirmed and never after. */
import type { Command } from 'commander'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'

type Options = CommonOptions & { readonly account?: string; readonly wordsStdin?: boolean }

const wordCount = 24

export function addRecovery(program: Command, environment: Environment): void {
  const recovery = program.command('recovery').description('The recovery words.')
  const verb = (usage: string, description: string): Command =>
    withCommon(recovery.command(usage))
      .description(description)
      .option('--account <account>', 'where there are several')

  verb('show', 'Shows the 24 words, as long as they are not confirmed.').action(async (options: Options) => {
    const shown = await withOperations(environment, options, (operations, context) =>
      operations.recoveryShow({ account: options.account }, context),
    )
    print(
      environment,
      options,
      shown,
      ({ mnemonic }) => `${mnemonic}\n\nWrite these words down on paper, then run: recovery confirm`,
    )
  })

  verb('confirm', 'Asks for words of your copy; when they are right, the gateway keeps none of them.')
    .option('--words-stdin', 'read all 24 words from standard input')
    .action(async (options: Options) => {
      const given = await wordsFromStdin(environment, options)
      const confirmed = await withOperations(environment, options, async (operations, context) => {
        const { account } = options
        const words =
          given ?? (await askWords(environment, (await operations.recoveryAsk({ account }, context)).positions))
        return await operations.recoveryConfirm({ account, words }, context)
      })
      print(environment, options, confirmed, () => 'Confirmed. From now on only your own copy has the words.')
    })
}

interface Word {
  readonly position: number
  readonly word: string
}

async function wordsFromStdin({ terminal }: Environment, options: Options): Promise<Word[] | undefined> {
  if (options.wordsStdin === true) return allWords(await terminal.readStdin())
  if (!terminal.interactive) throw new UsageError('recovery confirm needs a terminal, or --words-stdin')
  return undefined
}

async function askWords({ terminal }: Environment, positions: readonly number[]): Promise<Word[]> {
  if (positions.length === wordCount) return allWords(await terminal.ask(`All ${wordCount} words: `))
  const words: Word[] = []
  for (const position of positions) {
    const word = await terminal.ask(`Word ${position}: `)
    words.push({ position, word: word.trim().toLowerCase() })
  }
  return words
}

function allWords(text: string): Word[] {
  const words = text.trim().toLowerCase().split(/\s+/)
  if (words.length !== wordCount) throw new UsageError(`there are ${wordCount} words, not ${words.length}`)
  return words.map((word, index) => ({ position: index + 1, word }))
}

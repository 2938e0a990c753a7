/** Dino and Gajim with their windows: each logs in with address and password, shows what comes and sends what is typed. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { dino, gajim, heardBy, openChatProgram } from './support/chat-programs.ts'
import { Desktop, requireDesktop } from './support/desktop.ts'
import { twoGateways } from './support/two-gateways.ts'

const patience = { timeout: 60_000, interval: 200 }
/** Until what a program knows is what its window shows, too. */
const drawnMs = 1_500

test.for([dino, gajim])(
  '$command logs in, shows what the contact says, and says what is typed in it',
  { timeout: 180_000 },
  async (program, context) => {
    requireDesktop(context, program.command)
    await using world = await twoGateways()
    const { alice, bob } = world
    await using desktop = await Desktop.open(alice)
    await openChatProgram(program, desktop, alice)
    await bob.verb('chat', 'send', alice.address, 'Tea at five?')
    await expect.poll(() => heardBy(program, desktop), patience).toEqual(['Tea at five?'])
    await sleep(drawnMs)
    await desktop.screen.keepScreenshot(`${program.command}-heard`)
    await desktop.screen.click(...program.newestChat)
    await sleep(drawnMs)
    await desktop.screen.type(program.title, 'Yes, at five')
    const said = async () =>
      (await bob.verb<readonly { readonly text?: string }[]>('chat', 'show', alice.address)).map(({ text }) => text)
    await expect.poll(said, patience).toEqual(['Tea at five?', 'Yes, at five'])
    await desktop.screen.keepScreenshot(`${program.command}-said`)
  },
)

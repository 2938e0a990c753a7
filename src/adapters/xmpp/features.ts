/** All parts of the server, in the order in which they are asked. */
import type { Feature, Server } from './feature.ts'
import { calls } from './xep/calls/calls.ts'
import { carbons } from './xep/carbons.ts'
import { chats } from './xep/chats.ts'
import { commands } from './xep/commands/commands.ts'
import { ping } from './xep/ping.ts'

export const featureMakers: readonly ((server: Server) => Feature)[] = [ping, calls, carbons, chats, commands]

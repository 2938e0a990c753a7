/** All parts of the server, in the order in which they are asked. */
import type { Feature, Server } from './feature.ts'
import { archive } from './xep/archive.ts'
import { carbons } from './xep/carbons.ts'
import { chats } from './xep/chats.ts'
import { muc } from './xep/muc/muc.ts'
import { ping } from './xep/ping.ts'
import { externalServices } from './xep/external-services.ts'
import { httpUpload } from './xep/http-upload.ts'

export const featureMakers: readonly ((server: Server) => Feature)[] = [
  ping,
  archive,
  carbons,
  externalServices,
  httpUpload,
  muc,
  chats,
]

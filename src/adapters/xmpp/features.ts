/** All parts of the server, in the order in which they are asked. */
import type { Feature, Server } from './feature.ts'
import { externalServices } from './xep/external-services.ts'
import { httpUpload } from './xep/http-upload.ts'

export const featureMakers: readonly ((server: Server) => Feature)[] = [externalServices, httpUpload]

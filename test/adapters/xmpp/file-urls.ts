/** URLs of files for a gateway of the test world. */
import { FileUrls } from '../../../src/adapters/xmpp/uploads/file-urls.ts'
import type { Ambient } from '../../../src/core/ambient.ts'
import type { TestGateway } from '../../support/world.ts'

/** @param authority of its HTTPS listener, where it has one */
export const fileUrlsOf = (
  { knowledge: { store, accounts, conversations }, node }: TestGateway,
  ambient: Ambient,
  authority: () => string | undefined = () => 'localhost:8443',
): FileUrls => {
  const { files, uploads: stored } = node.delivery
  return new FileUrls({ store, accounts, conversations, files, stored, authority, ambient })
}

/** A program made with @xmpp/client, at the XMPP server of a gateway. */
import { client, xml, type XmppClient } from '@xmpp/client'
import type { Gateway } from './gateway-process.ts'

/** Logged in and there. Its connection may break: it makes another one, and resumes. */
export async function logInWithLibrary(gateway: Gateway): Promise<XmppClient> {
  const xmpp = client({
    service: `xmpp://localhost:${gateway.listeners.xmpp.port}`,
    domain: 'localhost',
    username: gateway.name,
    password: await gateway.addPassword('library'),
  })
  xmpp.on('error', () => {})
  await xmpp.start()
  await xmpp.send(xml('presence'))
  return xmpp
}

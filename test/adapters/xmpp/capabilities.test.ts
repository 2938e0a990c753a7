/** XEP-0115: the examples of its text, and who is believed. */
import { expect, test } from 'vitest'
import { serialise } from '../../../src/adapters/xmpp/element.ts'
import { readInfo, verificationOf } from '../../../src/adapters/xmpp/xep/disco.ts'
import { openWorld } from '../../support/world.ts'
import { openTestXmpp } from './harness.ts'
import { openStreamServer, RawClient } from './stream-server.ts'
import { xml } from './xml.ts'

const infoNs = 'http://jabber.org/protocol/disco#info'

test('the simple example of §5.2', () => {
  const said = xml(`<query xmlns='${infoNs}'><identity category='client' type='pc' name='Exodus 0.9.1'/>
    <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/muc'/>
    <feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/></query>`)
  expect(verificationOf(readInfo(said))).toBe('QgayPKawpkPSDYmwT/WM94uAlu0=')
})

test('the complex example of §5.3', () => {
  const said = xml(`<query xmlns='${infoNs}'>
    <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
    <identity xml:lang='el' category='client' name='\u03a8 0.11' type='pc'/>
    <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>
    <feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>
    <x xmlns='jabber:x:data' type='result'>
    <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
    <field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>
    <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>
    <field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field></x></query>`)
  expect(verificationOf(readInfo(said))).toBe('q07IKJEyjvHSyhy//CH0CxmKi8w=')
})

test('what does not fit its hash is believed of nobody else', async () => {
  await using world = await openWorld()
  using xmpp = openTestXmpp(await world.gateway('alice'))
  const comes = async (resource: string): Promise<string> => {
    const client = xmpp.bind(resource)
    const caps =
      "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:x' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>"
    const asked = (await client.say(xml(`<presence>${caps}</presence>`))).find(({ name }) => name === 'iq')
    if (asked === undefined) return 'nothing'
    await client.say(
      xml(`<iq type='result' id='${asked.attrs.id}'><query xmlns='${infoNs}'>
        <identity category='client' type='pc' name='Exodus 0.9.1'/><feature var='urn:evil+notify'/></query></iq>`),
    )
    return serialise(asked)
  }
  expect(await comes('one')).toContain('urn:x#QgayPKawpkPSDYmwT/WM94uAlu0=')
  expect(await comes('two')).toContain('urn:x#QgayPKawpkPSDYmwT/WM94uAlu0=')
})

test('a stream says the server’s capabilities, and that rosters have versions', async () => {
  await using world = await openWorld()
  await using server = await openStreamServer(await world.gateway('alice'))
  using client = await RawClient.direct(server)
  await client.begin()
  const features = await client.login(server)
  expect(features).toContain("<ver xmlns='urn:xmpp:features:rosterver'/>")
  const ver =
    /<c xmlns='http:\/\/jabber.org\/protocol\/caps' hash='sha-1' node='urn:mycelium:gateway' ver='([^']+)'/.exec(
      features,
    )?.[1]
  expect(ver).toBeDefined()
  await client.bind('desk')
  client.say(`<iq id='i' type='get' to='localhost'><query xmlns='${infoNs}' node='urn:mycelium:gateway#${ver}'/></iq>`)
  const answer = /<query.*<\/query>/s.exec(await client.until('</iq>'))![0]
  expect(verificationOf(readInfo(xml(answer)))).toBe(ver)
})

/** Ad-hoc commands: an invitation is made, accepted and verified without a command line, and mistakes can be mended. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  child,
  childText,
  type Element,
  el,
  elements,
  serialise,
  textOf,
} from '../../../../src/adapters/xmpp/element.ts'
import { openWorld } from '../../../support/world.ts'
import { type BoundClient, openStages, openTestXmpp } from '../harness.ts'

const patience = { timeout: 20_000 }
const commandsNs = 'http://jabber.org/protocol/commands'
const formNs = 'jabber:x:data'
const node = (name: string) => `urn:mycelium:command:${name}`

interface Call {
  readonly node: string
  readonly sessionid?: string | undefined
  readonly action?: string
  readonly fields?: Readonly<Record<string, string>>
}

async function give(client: BoundClient, { fields, ...attrs }: Call): Promise<Element> {
  const form =
    fields === undefined
      ? undefined
      : el(
          `x ${formNs}`,
          { type: 'submit' },
          Object.entries(fields).map(([name, value]) =>
            el(`field ${formNs}`, { var: name }, el(`value ${formNs}`, {}, value)),
          ),
        )
  const iq = el('iq', { type: 'set', id: 'c', to: 'localhost' }, el(`command ${commandsNs}`, attrs, form))
  const [answer] = await client.say(iq)
  return child(answer!, `command ${commandsNs}`) ?? answer!
}

/** What a form or result says of a field. */
function valueOf(command: Element, name: string): string | undefined {
  const form = child(command, `x ${formNs}`)
  const field = elements(form!).find((one) => one.attrs.var === name)
  return field && childText(field, 'value')
}
const noteOf = (command: Element): string => textOf(child(command, 'note')!)

test('two people find each other: one invites, the other accepts, both verify and see it', async () => {
  await using world = await openWorld()
  const [alice, bob] = [await world.gateway('alice'), await world.gateway('bob')]
  using atAlice = openTestXmpp(alice)
  using atBob = openTestXmpp(bob)
  const [hers, his] = [atAlice.bind(), atBob.bind()]

  const link = valueOf(await give(hers, { node: node('invite') }), 'link')!
  const asked = await give(his, { node: node('accept') })
  expect(asked.attrs.status).toBe('executing')
  const { sessionid } = asked.attrs
  const mistaken = await give(his, { node: node('accept'), sessionid, fields: { link: 'myc:nonsense' } })
  expect([mistaken.attrs.status, child(mistaken, 'note')?.attrs.type]).toEqual(['executing', 'error'])
  const accepted = await give(his, { node: node('accept'), sessionid, fields: { link: ` ${link}\n` } })
  expect(accepted.attrs.status).toBe('completed')
  expect(noteOf(accepted)).toContain(alice.address)
  await expect
    .poll(() => alice.knowledge.contacts.byIdentity(alice.account, bob.account)?.state, patience)
    .toBe('active')

  const form = await give(hers, { node: node('verify') })
  const contact = bob.account
  const wrong = await give(hers, { ...form.attrs, node: node('verify'), fields: { contact, digits: '0'.repeat(60) } })
  expect([wrong.attrs.status, child(wrong, 'note')?.attrs.type]).toEqual(['executing', 'error'])
  const digits = bob.knowledge.accounts.get(bob.account).fingerprint
  const right = await give(hers, {
    node: node('verify'),
    sessionid: wrong.attrs.sessionid,
    fields: { contact, digits },
  })
  expect(right.attrs.status).toBe('completed')
  expect(alice.knowledge.contacts.byIdentity(alice.account, bob.account)?.tier).toBe('verified')

  const contacts = await give(hers, { node: node('contacts') })
  const table = await give(hers, {
    node: node('contacts'),
    sessionid: contacts.attrs.sessionid,
    fields: { deed: 'show' },
  })
  expect(serialise(table)).toContain(`<value>${bob.address}</value>`)
  expect(serialise(table)).toContain('<value>in-person</value>')
})

test('a group is made and listed; settings are what they were set to', async () => {
  await using stages = await openStages()
  const { gateway } = stages.of('alice')
  const client = stages.of('alice').bind()
  const begun = await give(client, { node: node('groups') })
  const made = { deed: 'create', name: 'Garden', contact: stages.of('bob').gateway.account }
  const { sessionid } = begun.attrs
  expect(noteOf(await give(client, { node: node('groups'), sessionid, fields: made }))).toContain('Garden')
  const again = await give(client, { node: node('groups') })
  const shown = await give(client, { node: node('groups'), sessionid: again.attrs.sessionid, fields: { deed: 'show' } })
  expect(serialise(shown)).toContain('<value>Garden</value>')

  const settings = await give(client, { node: node('settings') })
  expect(valueOf(settings, 'readReceipts')).toBe('0')
  const fields = { readReceipts: 'true', presence: '0' }
  await give(client, { node: node('settings'), sessionid: settings.attrs.sessionid, fields })
  expect(gateway.knowledge.conversations.settings(gateway.account)).toMatchObject({
    tellsRead: true,
    tellsPresence: false,
  })
})

test('a conversation belongs to the program that began it, and a command that was given up is over', async () => {
  await using stages = await openStages()
  const alice = stages.of('alice')
  const [one, other] = [alice.bind('one'), alice.bind('other')]
  const { sessionid } = (await give(one, { node: node('accept') })).attrs
  expect(serialise(await give(other, { node: node('accept'), sessionid, fields: {} }))).toContain('<bad-sessionid ')
  const { sessionid: second } = (await give(one, { node: node('accept') })).attrs
  const cancelled = await give(one, { node: node('accept'), sessionid: second, action: 'cancel' })
  expect(cancelled.attrs.status).toBe('canceled')
  expect(serialise(await give(one, { node: node('accept'), sessionid: second, fields: {} }))).toContain(
    '<bad-sessionid ',
  )
  expect(serialise(await give(one, { node: 'nothing' }))).toContain('<item-not-found ')
  expect(serialise(await give(one, { node: node('accept'), action: 'jump' }))).toContain('<malformed-action ')
})

test('whatever is filled in, there is an answer, and the form is there again', async () => {
  await using stages = await openStages()
  const client = stages.of('alice').bind()
  const fields = fc.dictionary(
    fc.constantFrom('deed', 'contact', 'name', 'group', 'link', 'digits', 'presence', 'x'),
    fc.oneof(fc.string(), fc.constantFrom('rename', 'unblock', 'accept', 'add', 'leave')),
  )
  const names = fc.constantFrom('accept', 'verify', 'contacts', 'groups', 'settings')
  await fc.assert(
    fc.asyncProperty(names, fields, async (name, given) => {
      const { sessionid } = (await give(client, { node: node(name) })).attrs
      const answer = await give(client, { node: node(name), sessionid, fields: given })
      expect(answer.attrs.status).toMatch(/^(?:executing|completed)$/)
    }),
    { numRuns: 60 },
  )
})

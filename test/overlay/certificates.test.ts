import { expect, test } from 'vitest'
import { createAuthority, createLeaf, namesFor } from '../../src/certificates/authority.ts'
import { fromUtf8 } from '../../src/core/bytes.ts'
import { ambient, openPeer, text, within } from './support.ts'

test('gateways connect in a process that also issues certificates, and certificates are issued beside them', async () => {
  const authority = await createAuthority(namesFor([]), ambient)
  await using alice = await openPeer()
  await using bob = await openPeer()
  const link = await alice.overlay.link(bob.address, within(20_000))
  await link.send(fromUtf8('hello'))
  await expect.poll(() => text(bob)).toBe('hello')
  expect(alice.overlay.peers()).toMatchObject([{ transport: 'tcp+tls' }])
  expect((await createLeaf(authority, ['localhost'], ambient)).names).toEqual(['localhost'])
})

/** Where the tests with Matrix clients have their people: two who are contacts, each with a gateway of their own. */
import type { MatrixLogin } from './matrix-login.ts'
import type { Gateway } from './gateway-process.ts'
import { twoGateways } from './two-gateways.ts'

export interface MatrixPerson extends MatrixLogin {
  readonly userId: string
  /** The user id of the other one, as this one sees it. */
  readonly contact: string
  /** What this one sees the other one called. */
  readonly contactName: string
}

/** Two people who can write to each other. */
export interface Homeserver extends AsyncDisposable {
  readonly alice: MatrixPerson
  readonly bob: MatrixPerson
}

export async function homeserver(): Promise<Homeserver> {
  const { alice, bob, [Symbol.asyncDispose]: close } = await twoGateways()
  // what was read and who types is told to nobody unless its person wants it
  for (const gateway of [alice, bob])
    await gateway.verb('chat', 'settings', '--read-receipts', 'on', '--presence', 'on')
  return { alice: await matrixPerson(alice, bob), bob: await matrixPerson(bob, alice), [Symbol.asyncDispose]: close }
}

/** Somebody with a new password, and whom they know. */
export async function matrixPerson(gateway: Gateway, other: Gateway): Promise<MatrixPerson> {
  return {
    homeserver: `http://localhost:${gateway.listeners.http.port}`,
    user: gateway.name,
    password: await gateway.addPassword('a Matrix program'),
    userId: `@${gateway.name}:localhost`,
    contact: `@${other.address.replace('@', ':')}`,
    contactName: other.name,
  }
}

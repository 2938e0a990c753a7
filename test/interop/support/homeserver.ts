/** Where the tests with Matrix clients have their people: the one place that knows which server it is. */
import type { TestContext } from 'vitest'
import { requireMade } from './made-on-demand.ts'
import type { MatrixLogin } from './matrix-login.ts'
import { Synapse } from './synapse.ts'

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

/** Ends the test as skipped (or failed, with CI set) where the server cannot be. */
export async function homeserver(context: TestContext): Promise<Homeserver> {
  await requireMade(context, 'synapse')
  const users = { alice: "alice's secret", bob: "bob's secret" }
  const synapse = await Synapse.open({ users })
  const person = (user: keyof typeof users, contactName: keyof typeof users): MatrixPerson => ({
    homeserver: synapse.url,
    user,
    password: users[user],
    userId: synapse.userId(user),
    contact: synapse.userId(contactName),
    contactName,
  })
  return {
    alice: person('alice', 'bob'),
    bob: person('bob', 'alice'),
    [Symbol.asyncDispose]: async () => await synapse[Symbol.asyncDispose](),
  }
}

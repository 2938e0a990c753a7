/** CAPABILITY, NOOP, CHECK, LOGOUT, ID, ENABLE, NAMESPACE: commands that touch no mailbox. */
import { capabilities } from '../capabilities.ts'
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'
import type { Extension } from '../session.ts'

export const capability: Command = {
  when: 'any',
  run(session, args) {
    args.end()
    session.out.line(`* CAPABILITY ${capabilities(session)}`)
    return ok('Listed')
  },
}

export const noop: Command = {
  when: 'any',
  run(_session, args) {
    args.end()
    return ok('Nothing done')
  },
}

export const check: Command = {
  when: 'selected',
  run(_session, args) {
    args.end()
    return ok('Everything is on disk')
  },
}

export const logout: Command = {
  when: 'any',
  run(session, args) {
    args.end()
    session.isLoggingOut = true
    session.out.line('* BYE Goodbye')
    return ok('Logged out')
  },
}

/** RFC 2971. What the client says of itself is not kept. */
export const id: Command = {
  when: 'any',
  run(session, args) {
    args.sp()
    if (args.isListNext()) {
      args.list(() => {
        args.nstring()
      })
    } else args.nstring()
    args.end()
    session.out.line('* ID ("name" "mycelium-gateway")')
    return ok('Pleased to meet you')
  },
}

const extensions: Readonly<Record<string, readonly Extension[]>> = {
  CONDSTORE: ['CONDSTORE'],
  QRESYNC: ['QRESYNC', 'CONDSTORE'],
  'UTF8=ACCEPT': ['UTF8=ACCEPT'],
  IMAP4REV2: ['IMAP4REV2'],
  UIDONLY: ['UIDONLY'],
}

/** RFC 5161. Unknown names are passed over. */
export const enable: Command = {
  when: 'user',
  run(session, args) {
    const enabled: string[] = []
    do {
      args.sp()
      const name = args.name()
      const found = extensions[name]
      if (found === undefined) continue
      if (found.includes('CONDSTORE')) session.enableModSeq()
      for (const extension of found) session.enabled.add(extension)
      if (name === 'UIDONLY') {
        session.isUidOnly = true
        session.contexts.endNumbered()
      }
      enabled.push(name === 'IMAP4REV2' ? 'IMAP4rev2' : name)
    } while (args.isNext(' '))
    args.end()
    session.out.line(`* ENABLED${enabled.map((name) => ` ${name}`).join('')}`)
    return ok('Enabled')
  },
}

/** RFC 2342: one personal namespace. */
export const namespace: Command = {
  when: 'user',
  run(session, args) {
    args.end()
    session.out.line('* NAMESPACE (("" "/")) NIL NIL')
    return ok('Listed')
  },
}

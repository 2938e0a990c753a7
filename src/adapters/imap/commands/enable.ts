/** ENABLE (RFC 5161). Unknown names are passed over. */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'
import type { Extension } from '../session.ts'

const extensions: Readonly<Record<string, readonly Extension[]>> = {
  CONDSTORE: ['CONDSTORE'],
  QRESYNC: ['QRESYNC', 'CONDSTORE'],
  'UTF8=ACCEPT': ['UTF8=ACCEPT'],
  IMAP4REV2: ['IMAP4REV2'],
  UIDONLY: ['UIDONLY'],
}

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

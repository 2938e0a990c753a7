/** What mail programs ask, and how often it is asked for one figure. */
import { rareWord, subjectWord, syntheticMails } from './mails.ts'
import type { RawClient } from './raw-client.ts'

export interface Operation {
  readonly name: string
  /** In one round, after one another. */
  readonly times: number
  /** The mailbox that is selected; INBOX where absent. */
  readonly mailbox?: string
  readonly run: (client: RawClient, time: number) => Promise<unknown>
}

const thunderbirdHeaders =
  'UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority ' +
  'X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])'

const asking =
  (command: string) =>
  async (client: RawClient): Promise<unknown> =>
    await client.run(command)

const alternating =
  (first: string, second: string) =>
  async (client: RawClient, time: number): Promise<unknown> =>
    await client.run(time % 2 === 0 ? first : second)

/** About 2 KB each. */
const appended = [...syntheticMails(40, 2)].filter(({ bytes }) => bytes.length < 3000)

const copied = 1000

export const operations: readonly Operation[] = [
  {
    name: 'fetch_envelope_bodystructure',
    times: 3,
    run: asking('UID FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)'),
  },
  { name: 'fetch_flags', times: 5, run: asking('UID FETCH 1:* (FLAGS)') },
  { name: 'thunderbird_headers', times: 3, run: asking(thunderbirdHeaders) },
  { name: 'fetch_one', times: 200, run: async (client, time) => await client.run(`FETCH ${time + 1} (BODY.PEEK[])`) },
  { name: 'select', times: 100, run: asking('SELECT INBOX') },
  {
    name: 'status',
    times: 200,
    mailbox: 'Copies',
    run: asking('STATUS INBOX (UIDNEXT MESSAGES UNSEEN RECENT)'),
  },
  {
    name: 'store_flags',
    times: 2,
    run: alternating('UID STORE 1:* +FLAGS ($Label1)', 'UID STORE 1:* -FLAGS ($Label1)'),
  },
  { name: 'store_one', times: 100, run: alternating('STORE 500 +FLAGS ($Label2)', 'STORE 500 -FLAGS ($Label2)') },
  { name: 'copy', times: 2, run: asking(`COPY 1:${copied} Copies`) },
  {
    name: 'append',
    times: 60,
    run: async (client, time) => await client.append('Appended', [appended[time % appended.length]!]),
  },
  { name: 'search_text', times: 1, run: asking(`SEARCH TEXT ${rareWord}`) },
  { name: 'search_subject', times: 3, run: asking(`SEARCH SUBJECT ${subjectWord}`) },
]

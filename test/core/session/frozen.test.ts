import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../../src/core/bytes.ts'
import { dhKeyPair } from '../../../src/core/crypto/dh.ts'
import { osRandom } from '../../../src/core/crypto/random.ts'
import { useImplementation } from '../../../src/core/crypto/sodium.ts'
import { readFlight } from '../../../src/core/session/handshake.ts'
import { readReset } from '../../../src/core/session/reset.ts'
import { Session } from '../../../src/core/session/session.ts'
import { frozenFolder, frozenLink, frozenSession } from './frozen.ts'
import { startMs } from './support.ts'

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, frozenFolder), 'utf8'))
const session = read('session.json') as ReturnType<typeof frozenSession>
const link = read('link.json') as ReturnType<typeof frozenLink>
const hex = (text: string): Uint8Array => fromHex(text)!
const moment = { random: osRandom, nowMs: startMs }

afterEach(() => useImplementation('native'))

test('the frozen transcripts come out byte for byte', () => {
  useImplementation('portable')
  expect(JSON.parse(JSON.stringify(frozenSession()))).toEqual(session)
  expect(JSON.parse(JSON.stringify(frozenLink()))).toEqual(link)
})

describe.each(['native', 'portable'] as const)(
  'the %s implementation reads the frozen transcripts',
  (implementation) => {
    const burst = (from: 'initiator' | 'responder') => {
      const end = session.frames.findIndex((frame, index) => frame.from !== from && index > 1)
      return session.frames.slice(0, from === 'initiator' ? end : 4).filter((frame) => frame.from === from)
    }

    test('flight and first frames, as the responder', () => {
      useImplementation(implementation)
      const { initiator, responder } = session
      const self = {
        identity: responder.identity,
        device: responder.device,
        deviceDh: dhKeyPair(hex(responder.deviceDhSecret)),
      }
      const claim = readFlight(hex(session.flight), {
        self,
        prekey: (id) =>
          id === responder.prekey.id
            ? { dh: hex(responder.prekey.dhSecret), kem: hex(responder.prekey.kemSeed) }
            : undefined,
      })
      expect(toHex(claim.introduction)).toBe(session.introduction)
      expect([claim.identity, claim.device]).toEqual([initiator.identity, initiator.device])
      const end = claim.finish(
        { deviceDhPublic: hex(initiator.deviceDhPublic), logHead: hex(initiator.logHead) },
        moment,
      )
      expect(end.id).toBe(session.sessionId)
      expect(end.withContactKey(toHex)).toBe(session.contactKey)
      const texts = burst('initiator').map(({ frame }) => end.open(hex(frame), moment))
      expect(texts.map((each) => each.kind === 'payload' && Buffer.from(each.payload).toString())).toEqual(
        burst('initiator').map(({ text }) => text),
      )
    })

    test('first frames, as the initiator', () => {
      useImplementation(implementation)
      const end = Session.decode(hex(session.states.initiator))
      const opened = burst('responder').map(({ frame }) => end.open(hex(frame), moment))
      expect(opened.map((each) => each.kind)).toEqual(['control', 'payload'])
    })

    test('the reset statement', () => {
      useImplementation(implementation)
      const { statement, signingSeed: _, ...about } = link.reset
      expect(readReset(hex(statement))).toMatchObject(about)
    })
  },
)

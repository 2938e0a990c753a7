/** The same with MLS (RFC 9420): ts-mls, X25519, AES-128-GCM and Ed25519, all members in one process. */
import {
  type CiphersuiteImpl,
  type ClientState,
  createApplicationMessage,
  createCommit,
  createGroup,
  type Credential,
  decodeMlsMessage,
  defaultCapabilities,
  defaultLifetime,
  emptyPskIndex,
  encodeMlsMessage,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  processPrivateMessage,
} from 'ts-mls'
import { cpuMs, medianCpuMs } from './cpu.ts'

const payload = Buffer.alloc(200, 0x61)

interface MlsGroup {
  readonly impl: CiphersuiteImpl
  readonly founder: ClientState
  readonly reader: ClientState
}

async function mlsGroupOf(size: number): Promise<MlsGroup> {
  const impl = await getCiphersuiteImpl(getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'))
  const make = async (name: string) => {
    const credential: Credential = { credentialType: 'basic', identity: Buffer.from(name) }
    return await generateKeyPackage(credential, defaultCapabilities(), defaultLifetime, [], impl)
  }
  const founder = await make('founder')
  const others = []
  for (let index = 1; index < size; index += 1) others.push(await make(`member ${index}`))
  const empty = await createGroup(Buffer.from('crowd'), founder.publicPackage, founder.privatePackage, [], impl)
  const { newState, welcome } = await createCommit(
    { state: empty, cipherSuite: impl },
    {
      extraProposals: others.map(({ publicPackage }) => ({
        proposalType: 'add' as const,
        add: { keyPackage: publicPackage },
      })),
    },
  )
  const { publicPackage, privatePackage } = others[0]!
  const reader = await joinGroup(welcome!, publicPackage, privatePackage, emptyPskIndex, impl, newState.ratchetTree)
  return { impl, founder: newState, reader }
}

/** CPU of creating one application message, and of reading it: µs. */
export async function mlsMessageCpuUs(
  size: number,
  messages: number,
  rounds: number,
): Promise<{ seal: number; open: number }> {
  const { impl, ...states } = await mlsGroupOf(size)
  let { founder, reader } = states
  const opening: number[] = []
  const seal = await medianCpuMs(rounds, async () => {
    const sent: Uint8Array[] = []
    const ms = await cpuMs(async () => {
      for (let count = 0; count < messages; count += 1) {
        const { newState, privateMessage } = await createApplicationMessage(founder, payload, impl)
        founder = newState
        sent.push(encodeMlsMessage({ privateMessage, wireformat: 'mls_private_message', version: 'mls10' }))
      }
    })
    opening.push(
      await cpuMs(async () => {
        for (const bytes of sent) {
          const message = decodeMlsMessage(bytes, 0)![0]
          if (message.wireformat !== 'mls_private_message') throw new Error('not a message')
          const read = await processPrivateMessage(reader, message.privateMessage, emptyPskIndex, impl)
          if (read.kind !== 'applicationMessage') throw new Error('a message did not open')
          reader = read.newState
        }
      }),
    )
    return ms
  })
  const open = opening.slice(1).toSorted((a, b) => a - b)[Math.floor(rounds / 2)]!
  return { seal: (seal / messages) * 1000, open: (open / messages) * 1000 }
}

/** CPU of the commit that removes one of `size` members. Every member has to process it. */
export async function mlsRemoveCpuMs(size: number): Promise<number> {
  const { impl, founder } = await mlsGroupOf(size)
  return await cpuMs(async () => {
    await createCommit(
      { state: founder, cipherSuite: impl },
      { extraProposals: [{ proposalType: 'remove', remove: { removed: size - 1 } }] },
    )
  })
}

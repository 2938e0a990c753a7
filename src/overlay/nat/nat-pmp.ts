/** NAT-PMP (RFC 6886): asks the router for its outside address, and for a port. */
import type { Mapper, Mapping } from './mapping.ts'
import { askRouter, refusedBy } from './mapping.ts'

const answerBit = 128
const opcodes = { udp: 1, tcp: 2 } as const

export const natPmp: Mapper = async (router, { protocol, port, lifetimeSeconds }, signal) => {
  const externalHost = await askRouter(router, Uint8Array.of(0, 0), addressIn, signal)
  const question = Buffer.alloc(12)
  question[1] = opcodes[protocol]
  question.writeUInt16BE(port, 4)
  question.writeUInt16BE(lifetimeSeconds === 0 ? 0 : port, 6)
  question.writeUInt32BE(lifetimeSeconds, 8)
  const read = (answer: Uint8Array): Omit<Mapping, 'externalHost'> | undefined =>
    mappingIn(answer, opcodes[protocol], port)
  return { ...(await askRouter(router, question, read, signal)), externalHost }
}

/** §3.2: version, opcode, result (2), seconds (4), address (4). */
function addressIn(answer: Uint8Array): string | undefined {
  const view = viewOf(answer)
  if (answer.length < 4 || view[1] !== answerBit) return undefined
  checkResult(view)
  return answer.length < 12 ? undefined : view.subarray(8, 12).join('.')
}

/** §3.3: version, opcode, result (2), seconds (4), internal port (2), external port (2), lifetime (4). */
function mappingIn(answer: Uint8Array, opcode: number, port: number): Omit<Mapping, 'externalHost'> | undefined {
  const view = viewOf(answer)
  if (answer.length < 4 || view[1] !== answerBit + opcode) return undefined
  checkResult(view)
  if (answer.length < 16 || view.readUInt16BE(8) !== port) return undefined
  return { externalPort: view.readUInt16BE(10), lifetimeSeconds: view.readUInt32BE(12) }
}

function checkResult(view: Buffer): void {
  const result = view.readUInt16BE(2)
  if (result !== 0 || view[0] !== 0) refusedBy('NAT-PMP', result)
}

const viewOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** A gateway in a process of its own, to be killed. Prints its address once it listens. */
import { openPeer } from './support.ts'

const peer = await openPeer({ key: Buffer.from(process.argv[2]!, 'hex'), port: Number(process.argv[3]) })
process.send!(peer.address)

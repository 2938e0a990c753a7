/** Forwards the standard XMPP port of this network to a Unix socket, which may be that of another network. */
import { connect, createServer } from 'node:net'

const [path = ''] = process.argv.slice(2)
createServer((inside) => {
  const outside = connect(path)
  inside.on('error', () => outside.destroy()).on('close', () => outside.destroy())
  outside.on('error', () => inside.destroy()).on('close', () => inside.destroy())
  inside.pipe(outside).pipe(inside)
}).listen(5222, '127.0.0.1')

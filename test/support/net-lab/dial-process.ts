/** In a namespace: connects from there to an address for each who comes to a Unix socket, which is outside of networks. */
import { connect, createServer } from 'node:net'

const [path = '', host = '', port = ''] = process.argv.slice(2)
createServer({ noDelay: true }, (inside) => {
  const outside = connect({ host, port: Number(port), noDelay: true })
  inside.on('error', () => inside.destroy()).on('close', () => outside.destroy())
  outside.on('error', () => inside.resetAndDestroy()).on('close', () => inside.destroy())
  inside.pipe(outside).pipe(inside)
}).listen(path, () => process.stdout.write('ready\n'))

/** The files of a folder over HTTP on loopback: where a program in a browser comes from. */
import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.ts': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.wasm': 'application/wasm',
}

export interface FileServer extends AsyncDisposable {
  readonly origin: string
}

/** @param page what `/` is, by what stands behind the question mark; without it `index.html` of the folder */
export async function serveFiles(folder: string, page?: (search: string) => string): Promise<FileServer> {
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
    if (pathname === '/' && page !== undefined) {
      response.setHeader('content-type', types['.html']!)
      response.end(page(search.slice(1)))
      return
    }
    const path = join(folder, pathname === '/' ? 'index.html' : normalize(pathname))
    response.setHeader('content-type', types[extname(path)] ?? 'application/octet-stream')
    const file = createReadStream(path)
    file.on('error', () => response.writeHead(404).end())
    file.pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

// Starts a headless Chromium on a page that is a WebTorrent peer, and hands JSON lines to and
// from it. Its one argument is JSON:
//   {chromium: path, profile: folder, flags: [string], options: client options}
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import { dirname, join, normalize } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { WebSocketServer } from 'ws'
import { serveLines, writeLine } from './lines.mjs'

const setup = JSON.parse(process.argv[2])
const here = dirname(fileURLToPath(import.meta.url))

const STATIC = {
  '/': ['page/index.html', 'text/html'],
  '/peer.js': ['page/peer.js', 'text/javascript'],
  '/verbs.mjs': ['verbs.mjs', 'text/javascript'],
  '/webtorrent.min.js': ['node_modules/webtorrent/dist/webtorrent.min.js', 'text/javascript']
}

// Folders and .torrent files named in a request; the page can reach nothing else.
const shared = new Set()

const share = (request) => {
  for (const name of ['folder', 'torrent', 'source']) {
    if (request[name]) shared.add(request[name])
  }
}

const inside = (folder, path) => {
  const whole = normalize(join(folder, path))
  if (!shared.has(folder) || !whole.startsWith(join(folder, '/'))) throw new Error(`not shared: ${whole}`)
  return whole
}

const send = async (response, path, type) => {
  response.setHeader('content-type', type)
  await pipeline(createReadStream(path), response)
}

const handle = async (request, response) => {
  const url = new URL(request.url, 'http://page')
  const named = Object.fromEntries(url.searchParams)
  if (url.pathname === '/torrent' && shared.has(named.path)) {
    return send(response, named.path, 'application/x-bittorrent')
  }
  if (url.pathname === '/files') {
    const path = inside(named.folder, named.path)
    if (request.method !== 'PUT') return send(response, path, 'application/octet-stream')
    await mkdir(dirname(path), { recursive: true })
    await pipeline(request, createWriteStream(path))
    return response.end()
  }
  const [file, type] = STATIC[url.pathname] ?? []
  if (file) return send(response, join(here, file), type)
  response.writeHead(404).end()
}

const server = createServer((request, response) => {
  handle(request, response).catch((error) => {
    console.error(`page server: ${error.message}`)
    if (!response.headersSent) response.writeHead(500)
    response.end()
  })
})
server.listen(0, '127.0.0.1') // WebTorrent needs a secure context, which loopback is
await once(server, 'listening')

const sockets = new WebSocketServer({ server, path: '/control' })
const page = once(sockets, 'connection').then(([socket]) => {
  socket.on('message', (data) => {
    const message = JSON.parse(data)
    if ('log' in message) console.error(`page: ${message.log}`)
    else writeLine(message)
  })
  return socket
})

const query = new URLSearchParams({ setup: JSON.stringify({ options: setup.options ?? {} }) })
const browser = spawn(setup.chromium, [
  ...setup.flags,
  `--user-data-dir=${setup.profile}`,
  `http://127.0.0.1:${server.address().port}/?${query}`
], { stdio: ['ignore', 'ignore', 'inherit'] })
process.on('exit', () => browser.kill('SIGKILL'))
browser.on('error', (error) => { console.error(error.message); process.exit(1) })
browser.on('exit', (code) => { console.error(`the browser ended with ${code}`); process.exit(1) })

serveLines(async (request) => {
  const socket = await page
  if (request.do === 'port') return writeLine({ id: request.id, result: 0 }) // the page is up
  share(request)
  socket.send(JSON.stringify(request))
})

// npm's BitTorrent tracker, HTTP and WebSocket, which remembers every announce it saw.
// Its one argument is JSON: {host: string, interval: seconds between announces over WebSocket}.
import Server from 'bittorrent-tracker/server'
import { serveLines, writeLine } from './lines.mjs'
import { answer } from './verbs.mjs'

const setup = JSON.parse(process.argv[2] ?? '{}')
const WS_SHARE = 5 // WebSocket clients are told a fifth of the interval

const server = new Server({
  udp: false,
  http: true,
  ws: true,
  stats: false,
  interval: (setup.interval ?? 120) * 1000 * WS_SHARE
})
const listening = new Promise((resolve) => server.once('listening', resolve))
server.on('error', (error) => console.error(`tracker: ${error.message}`))
server.on('warning', (warning) => console.error(`tracker: ${warning.message}`))

const announces = []
for (const event of ['start', 'update', 'complete', 'stop']) {
  server.on(event, (address, params) => {
    const seen = {
      info_hash: params.info_hash,
      peer_id: params.peer_id,
      transport: params.type,
      kind: params.answer ? 'answer' : event,
      offers: params.offers?.length ?? 0
    }
    announces.push(seen)
    console.error(JSON.stringify(seen))
  })
}
server.listen(0, setup.host ?? '127.0.0.1')

const verbs = {
  async port () {
    await listening
    return server.http.address().port
  },

  async announces () {
    return announces
  },

  async quit () {
    await new Promise((resolve) => server.close(resolve))
  }
}

serveLines(async (request) => {
  await writeLine(await answer(verbs, request))
  if (request.do === 'quit') process.exit(0)
})

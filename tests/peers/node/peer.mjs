// A WebTorrent peer on Node, told what to do in JSON lines: see verbs.mjs.
// Its one argument is JSON: {rtc: boolean, tcp: boolean, host: string, options: client options}.
import WebTorrent from 'webtorrent'
import { serveLines, writeLine } from './lines.mjs'
import { answer, makeVerbs } from './verbs.mjs'

const setup = JSON.parse(process.argv[2] ?? '{}')
const client = new WebTorrent({
  dht: false,
  lsd: false,
  utp: false,
  utPex: false,
  natUpnp: false,
  natPmp: false,
  webSeeds: false,
  // Handed on to the listener as it is; a bare port would listen on every interface.
  torrentPort: { host: setup.host ?? '127.0.0.1', port: 0 },
  tracker: setup.rtc ? { rtcConfig: { iceServers: [] } } : { wrtc: false },
  ...setup.options
})
const listening = new Promise((resolve) => client.once('listening', resolve))
client.on('error', (error) => console.error(`client: ${error.message}`))

let server

const inFolder = (folder) => ({ path: folder })

const verbs = {
  ...makeVerbs(client, { read: async (source) => source, seeding: inFolder, leeching: inFolder }),

  async port () {
    await listening
    const { port } = client.address()
    if (setup.tcp !== false) return port
    client._connPool.tcpServer.close() // the client has no option for it
    return 0
  },

  // WebTorrent's own HTTP server; answers the film's address once its metadata is known.
  async serve ({ source, folder }) {
    if (!server) {
      server = client.createServer({ hostname: '127.0.0.1' })
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    }
    const torrent = client.add(source, inFolder(folder))
    if (!torrent.ready) await new Promise((resolve) => torrent.once('ready', resolve))
    const film = torrent.files.reduce((a, b) => (a.length > b.length ? a : b))
    return `http://127.0.0.1:${server.address().port}${film.streamURL}`
  }
}

serveLines(async (request) => {
  await writeLine(await answer(verbs, request))
  if (request.do === 'quit') process.exit(0)
})

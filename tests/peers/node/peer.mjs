// A WebTorrent peer told what to do in JSON lines on standard input:
//   {"id": 1, "do": "leech", ...} is answered by {"id": 1, "result": ...} or {"id": 1, "error": "..."}.
// Its one argument is JSON: {rtc: boolean, host: string, options: client options}.
import { createInterface } from 'node:readline'
import WebTorrent from 'webtorrent'

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

const torrents = new Map()

const find = (key) => {
  const torrent = torrents.get(key)
  if (!torrent) throw new Error(`unknown torrent ${key}`)
  return torrent
}

const add = (source, folder) => new Promise((resolve, reject) => {
  const torrent = client.add(source, { path: folder })
  torrent.announced = new Promise((resolve) => {
    torrent.once('trackerAnnounce', resolve)
    torrent.once('warning', resolve) // a tracker that fails is done, too
  })
  torrent.on('warning', (warning) => console.error(`torrent: ${warning.message ?? warning}`))
  torrent.once('error', reject)
  torrent.once('infoHash', () => {
    torrents.set(torrent.infoHash, torrent)
    resolve(torrent)
  })
})

const until = (torrent, ...events) => new Promise((resolve, reject) => {
  torrent.once('error', reject)
  for (const event of events) torrent.once(event, resolve)
})

const state = (torrent) => {
  if (torrent.done) return 'seeding'
  return torrent.ready ? 'downloading' : 'preparing'
}

const verbs = {
  async port () {
    await listening
    return client.address().port
  },

  async seed ({ torrent: source, folder, upload_limit: limit }) {
    if (limit) client.throttleUpload(limit)
    const torrent = await add(source, folder)
    if (!torrent.ready) await until(torrent, 'ready')
    if (!torrent.done && torrent.progress < 1) throw new Error(`${folder} does not hold the content of ${source}`)
    return torrent.infoHash
  },

  async leech ({ source, folder }) {
    return (await add(source, folder)).infoHash
  },

  async wait_announced ({ key }) {
    const torrent = find(key)
    if (torrent.announce.length > 0) await torrent.announced
  },

  async wait_done ({ key }) {
    const torrent = find(key)
    if (!torrent.done) await until(torrent, 'done')
  },

  async stats ({ key }) {
    const torrent = find(key)
    return {
      state: state(torrent),
      progress: torrent.progress,
      downloaded: torrent.downloaded,
      uploaded: torrent.uploaded,
      peers: torrent.numPeers
    }
  },

  async connect ({ key, port }) {
    find(key).addPeer(`127.0.0.1:${port}`)
  },

  async limit ({ rate }) {
    client.throttleUpload(rate || -1)
  },

  async quit () {
    await new Promise((resolve) => client.destroy(resolve))
  }
}

const answer = async ({ id, do: verb, ...rest }) => {
  let line
  try {
    line = { id, result: (await verbs[verb](rest)) ?? null }
  } catch (error) {
    line = { id, error: String(error?.message ?? error) }
  }
  process.stdout.write(`${JSON.stringify(line)}\n`, () => { if (verb === 'quit') process.exit(0) })
}

const input = createInterface({ input: process.stdin })
input.on('line', (line) => answer(JSON.parse(line)))
input.on('close', () => process.exit(0)) // whoever started this process is gone

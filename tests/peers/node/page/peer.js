// A WebTorrent peer in a page. It hears its requests over a WebSocket from browser.mjs, which
// also hands it the content it seeds and takes what it has fetched. See ../verbs.mjs.
import WebTorrent from '/webtorrent.min.js'
import { answer, makeVerbs } from '/verbs.mjs'

const setup = JSON.parse(new URLSearchParams(location.search).get('setup'))
const client = new WebTorrent({
  webSeeds: false,
  tracker: { rtcConfig: { iceServers: [] } },
  ...setup.options
})
const control = new WebSocket(`ws://${location.host}/control`)
const opened = new Promise((resolve) => control.addEventListener('open', resolve))
console.error = (...words) => opened.then(() => control.send(JSON.stringify({ log: words.join(' ') })))
addEventListener('error', ({ message }) => console.error(message))
addEventListener('unhandledrejection', ({ reason }) => console.error(reason?.message ?? reason))
client.on('error', (error) => console.error(`client: ${error.message}`))

const urlOf = (folder, file) => `/files?${new URLSearchParams({ folder, path: file.path })}`

// The pieces of a folder on the other side, fetched once and kept in memory.
class FetchedStore {
  constructor (chunkLength, { files, length, folder }) {
    Object.assign(this, { chunkLength, files, length, folder })
    this.loading = null
  }

  async load () {
    const bytes = new Uint8Array(this.length)
    for (const file of this.files) {
      const response = await fetch(urlOf(this.folder, file))
      if (!response.ok) throw new Error(`${file.path}: ${response.status}`)
      bytes.set(new Uint8Array(await response.arrayBuffer()), file.offset)
    }
    return bytes
  }

  get (index, options, callback) {
    if (typeof options === 'function') return this.get(index, {}, options)
    this.loading ??= this.load()
    this.loading.then((bytes) => {
      const start = index * this.chunkLength + (options?.offset ?? 0)
      const most = this.chunkLength - (options?.offset ?? 0)
      callback(null, bytes.slice(start, start + (options?.length ?? most)))
    }, callback)
  }

  put (index, bytes, callback) { callback(new Error('a seeder fetches nothing')) }
  close (callback) { callback() }
  destroy (callback) { callback() }
}

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('')

const hand = async (folder, file) => {
  const bytes = await (await file.blob()).arrayBuffer()
  const response = await fetch(urlOf(folder, file), { method: 'PUT', body: bytes })
  if (!response.ok) throw new Error(`${file.path}: ${response.status}`)
  return hex(await crypto.subtle.digest('SHA-256', bytes))
}

// Hands a complete torrent's files over, once; the result is the SHA-256 of each.
const finish = async (torrent) => {
  if (!torrent.folder) return {}
  torrent.sums ??= (async () => {
    const sums = {}
    for (const file of torrent.files) sums[file.path] = await hand(torrent.folder, file)
    return sums
  })()
  return torrent.sums
}

const shared = makeVerbs(client, {
  read: async (source) => {
    if (source.startsWith('magnet:')) return source
    return new Uint8Array(await (await fetch(`/torrent?${new URLSearchParams({ path: source })}`)).arrayBuffer())
  },
  seeding: (folder) => ({ store: FetchedStore, storeOpts: { folder }, storeCacheSlots: 0 }),
  leeching: () => ({}),
  finish
})

const verbs = {
  ...shared,

  async leech (request) {
    const key = await shared.leech(request)
    const torrent = await client.get(key)
    torrent.folder = request.folder
    return key
  },

  async sums ({ key }) {
    return finish(await client.get(key))
  },

  async connect () {
    throw new Error('a page cannot dial an address')
  }
}

control.addEventListener('message', async ({ data }) => {
  control.send(JSON.stringify(await answer(verbs, JSON.parse(data))))
})

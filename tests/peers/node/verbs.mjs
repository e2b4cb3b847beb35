// What a WebTorrent peer can be told to do, on Node and in a page alike.
// `platform` says what differs: how a source is read, and where content lies.

const until = (torrent, ...events) => new Promise((resolve, reject) => {
  torrent.once('error', reject)
  for (const event of events) torrent.once(event, resolve)
})

const state = (torrent) => {
  if (torrent.done) return 'seeding'
  return torrent.ready ? 'downloading' : 'preparing'
}

const transport = (type) => {
  if (type === 'webrtc' || type === 'webSeed') return type.toLowerCase()
  return type.startsWith('utp') ? 'utp' : 'tcp'
}

// Payload in bytes, where the client itself counts what it verified and what went by wire;
// and seconds from adding a torrent until each event first happened.
const watch = (torrent) => {
  const began = performance.now()
  const times = { first_peer: null, first_byte: null, done: null }
  const payload = { downloaded: 0, uploaded: 0 }
  const note = (name) => { times[name] ??= (performance.now() - began) / 1000 }
  torrent.on('wire', (wire) => {
    note('first_peer')
    wire.on('download', (size) => {
      note('first_byte')
      payload.downloaded += size
    })
    wire.on('upload', (size) => { payload.uploaded += size })
  })
  torrent.once('done', () => note('done'))
  Object.assign(torrent, { times, payload })
}

export const makeVerbs = (client, platform) => {
  const torrents = new Map()

  const find = (key) => {
    const torrent = torrents.get(key)
    if (!torrent) throw new Error(`unknown torrent ${key}`)
    return torrent
  }

  const add = (source, options) => new Promise((resolve, reject) => {
    const torrent = client.add(source, options)
    watch(torrent)
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

  return {
    async seed ({ torrent: source, folder, upload_limit: limit, partial }) {
      if (limit) client.throttleUpload(limit)
      // Deselected from the start: later on some selections would be left.
      const options = { ...platform.seeding(folder), deselect: partial }
      const torrent = await add(await platform.read(source), options)
      if (!torrent.ready) await until(torrent, 'ready')
      if (!partial && torrent.progress < 1) throw new Error(`${folder} does not hold the content of ${source}`)
      return torrent.infoHash
    },

    async leech ({ source, folder }) {
      return (await add(await platform.read(source), platform.leeching(folder))).infoHash
    },

    async wait_announced ({ key }) {
      const torrent = find(key)
      if (torrent.announce.length > 0) await torrent.announced
    },

    async wait_done ({ key }) {
      const torrent = find(key)
      if (!torrent.done) await until(torrent, 'done')
      await platform.finish?.(torrent)
    },

    async stats ({ key }) {
      const torrent = find(key)
      return {
        state: state(torrent),
        progress: torrent.progress,
        ...torrent.payload,
        peers: torrent.numPeers
      }
    },

    async times ({ key }) {
      return find(key).times
    },

    async wires ({ key }) {
      return find(key).wires.map((wire) => transport(wire.type))
    },

    async reannounce ({ key }) {
      find(key).discovery.tracker.update()
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
}

// Answers {"id": 1, "do": "leech", ...} with {"id": 1, "result": ...} or {"id": 1, "error": "..."}.
export const answer = async (verbs, { id, do: verb, ...rest }) => {
  try {
    return { id, result: (await verbs[verb](rest)) ?? null }
  } catch (error) {
    return { id, error: String(error?.message ?? error) }
  }
}

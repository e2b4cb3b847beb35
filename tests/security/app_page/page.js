// An app's page: does what a front end does, at each address it is given, and reports what worked.
const asked = new URLSearchParams(location.search)
const json = {'content-type': 'application/json'}

const reading = async api => (await (await fetch(`${api}/downloads`)).json()).total
const acting = async api => {
  const body = JSON.stringify({id: 'film'})
  const answer = await fetch(`${api}/download/pause`, {method: 'POST', headers: json, body})
  return (await answer.json()).id
}
const listening = api => new Promise((resolve, reject) => {
  const source = new EventSource(`${api}/events`)
  source.onmessage = ({data}) => { source.close(); resolve(JSON.parse(data).id) }
  source.onerror = () => { source.close(); reject(new Error('no events')) }
})
const watching = crossOrigin => api => new Promise((resolve, reject) => {
  const video = document.createElement('video')
  Object.assign(video, {crossOrigin, muted: true, src: `${api}/stream/film/0`})
  video.oncanplay = () => resolve(video.videoWidth)
  video.onerror = () => reject(new Error(video.error.message))
  document.body.append(video)
})
const TRIES = {
  'fetch': reading,
  'fetch with a body': acting,
  'EventSource': listening,
  'video crossorigin': watching('anonymous'),
  'video': watching(null)
}

const tooLong = () => new Promise((_, reject) => setTimeout(reject, 20000, new Error('no answer')))

addEventListener('load', async () => {
  const found = {origin: location.origin}
  for (const name of ['open', 'closed']) {
    found[name] = {}
    for (const [what, how] of Object.entries(TRIES)) {
      found[name][what] = await Promise.race([how(asked.get(name)), tooLong()])
        .catch(error => `failed: ${error.message}`)
    }
  }
  await fetch(asked.get('report'), {method: 'POST', mode: 'no-cors', body: JSON.stringify(found)})
})

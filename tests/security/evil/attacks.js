// What a page can make a browser send to another server, one try after the other.
// Each try ends with what the page could read of the answer, null = nothing.
'use strict'
const CONTROL = new URLSearchParams(location.search).get('control')
const who = new URLSearchParams(location.search).get('who')
const HTML = document.documentElement

const after = (ms) => new Promise((resolve) => setTimeout(() => resolve(null), ms))
const within = (ms, promise) => Promise.race([promise, after(ms)])
const shown = (answer) =>
  answer.type === 'opaque' || answer.status === 0 ? null
    : answer.text().then((text) => `${answer.status} ${text}`)
const ask = (url, options) => fetch(url, options).then(shown, () => null)

// An element that loads something: 'loaded' if the browser says that it could use it.
const element = (tag, members, loads = 'load') => new Promise((resolve) => {
  const made = Object.assign(document.createElement(tag), members)
  made.addEventListener(loads, () => resolve('loaded'))
  made.addEventListener('error', () => resolve(null))
  document.body.append(made)
})
// A frame always says 'load'; what counts is whether its document can be read.
const inside = (view) => {
  try { return view.document.body.innerText || null } catch { return null }
}
const frame = (tag, members) => new Promise((resolve) => {
  const made = Object.assign(document.createElement(tag), members)
  made.addEventListener('load', () => resolve(inside(made.contentWindow ?? {})))
  made.addEventListener('error', () => resolve(null))
  document.body.append(made)
})
const style = (text) => {
  document.head.append(Object.assign(document.createElement('style'), {textContent: text}))
  return after(100)
}
// A form that sends itself into a hidden frame.
const form = (action, method, enctype, fields) => new Promise((resolve) => {
  const target = `f${Math.random()}`
  const into = Object.assign(document.createElement('iframe'), {name: target})
  document.body.append(into)
  const made = Object.assign(document.createElement('form'), {action, method, enctype, target})
  for (const [name, value] of Object.entries(fields))
    made.append(Object.assign(document.createElement('input'), {name, value, type: 'hidden'}))
  document.body.append(made)
  into.addEventListener('load', () => {
    try { if (into.contentWindow.location.href === 'about:blank') return } catch { /* it left */ }
    resolve(inside(into.contentWindow))
  })
  made.submit()
})
const popup = async (url) => {
  const heard = new Promise((resolve) => addEventListener('message', (e) => resolve(e.data)))
  const opened = window.open(url)
  if (!opened) return null
  const blank = () => {
    try { return !opened.closed && opened.location.href === 'about:blank' } catch { return false }
  }
  while (blank()) await after(10)
  await after(50)
  opened.postMessage('what do you have?', '*')
  const read = inside(opened) ?? (await within(100, heard))
  opened.close()
  return read
}
const xhr = (method, url, body, headers = {}) => new Promise((resolve) => {
  const made = new XMLHttpRequest()
  made.open(method, url)
  for (const [name, value] of Object.entries(headers)) made.setRequestHeader(name, value)
  made.onloadend = () => resolve(made.status ? `${made.status} ${made.responseText}` : null)
  made.send(body)
})
const eventSource = (url) => new Promise((resolve) => {
  const made = new EventSource(url)
  for (const name of ['open', 'message', 'snapshot'])
    made.addEventListener(name, (e) => { made.close(); resolve(e.data ?? 'open') })
  made.onerror = () => { made.close(); resolve(null) }
})
const webSocket = (url) => new Promise((resolve) => {
  const made = new WebSocket(url.replace(/^http/, 'ws'))
  made.onopen = () => resolve('open')
  made.onclose = made.onerror = () => resolve(null)
})
const worker = (url, how) => new Promise((resolve) => {
  const made = new Worker(`/worker.js?how=${how}&url=${encodeURIComponent(url)}`)
  made.onmessage = (e) => { made.terminate(); resolve(e.data) }
  made.onerror = () => resolve(null)
})
const serviceWorker = async (url) => {
  const made = await navigator.serviceWorker.register('/worker.js', {scope: '/scope/'})
  await new Promise((resolve) => {
    const coming = made.installing ?? made.waiting ?? made.active
    if (coming.state === 'activated') return resolve()
    coming.onstatechange = () => coming.state === 'activated' && resolve()
  })
  const channel = new MessageChannel()
  const answer = new Promise((resolve) => { channel.port1.onmessage = (e) => resolve(e.data) })
  made.active.postMessage({url}, [channel.port2])
  return answer
}
const beacon = (url, body) => { navigator.sendBeacon(url, body); return after(60) }
const ping = (url) => {
  const made = Object.assign(document.createElement('a'), {href: '#here', ping: url})
  document.body.append(made)
  made.click()
  return after(60)
}
const upload = (fields) => {
  const data = new FormData()
  for (const [name, value] of Object.entries(fields)) data.append(name, value)
  data.append('torrent', new Blob(['d4:infode']), 'film.torrent')
  return data
}

// --- the tries: reading ones, and ones that would change something --------------------------
const JSON_TYPE = {'content-type': 'application/json'}
const reads = (at, film) => ({
  'fetch cors': () => ask(at('/downloads')),
  'fetch no-cors': () => ask(at('/downloads'), {mode: 'no-cors'}),
  'fetch with cookies': () => ask(at('/downloads'), {credentials: 'include'}),
  'fetch with a header': () => ask(at('/downloads'), {headers: {'x-api-key': 'a'}}),
  'fetch of a range': () => ask(at(film), {headers: {range: 'bytes=0-9'}}),
  'fetch head': () => ask(at('/downloads'), {method: 'HEAD'}),
  'fetch kept alive': () => ask(at('/downloads'), {keepalive: true}),
  'fetch redirected': () => ask(`/redirect?to=${encodeURIComponent(at('/downloads'))}`),
  'fetch of the contract': () => ask(at('/openapi.json')),
  'fetch of health': () => ask(at('/health')),
  'xhr': () => xhr('GET', at('/downloads')),
  'event source': () => eventSource(at('/events')),
  'websocket': () => webSocket(at('/events')),
  'image': () => element('img', {src: at(film)}),
  'image of the docs': () => element('img', {src: at('/docs/favicon-32x32.png')}),
  'script': () => element('script', {src: at('/docs/start.js')}),
  'script of json': () => element('script', {src: at('/downloads')}),
  'module script': () => element('script', {type: 'module', src: at('/docs/start.js')}),
  'import': () => import(at('/docs/start.js')).then(() => 'loaded', () => null),
  'stylesheet': () => element('link', {rel: 'stylesheet', href: at('/docs/swagger-ui.css')}),
  'preload': () => element('link', {rel: 'preload', as: 'script', href: at('/docs/start.js')}),
  'style import': () => style(`@import url("${at('/docs/swagger-ui.css')}");`),
  'style background': () => style(`body {background: url("${at('/downloads')}")}`),
  'iframe': () => frame('iframe', {src: at('/downloads')}),
  'object': () => frame('object', {data: at('/downloads'), type: 'text/html'}),
  'embed': () => within(200, frame('embed', {src: at('/downloads'), type: 'text/html'})),
  'video': () => element('video', {src: at(film), muted: true, preload: 'auto'}, 'loadeddata'),
  'video cors': () => element('video', {
    crossOrigin: 'anonymous', src: at(film), muted: true, preload: 'auto'}, 'loadeddata'),
  'audio': () => element('audio', {src: at(film), preload: 'auto'}, 'loadeddata'),
  'window': () => popup(at('/downloads')),
  'worker fetch': () => worker(at('/downloads'), 'fetch'),
  'worker import': () => worker(at('/docs/start.js'), 'import'),
  'service worker fetch': () => serviceWorker(at('/downloads')),
})
const writes = (at, wish, fresh) => {
  const text = JSON.stringify(wish), start = JSON.stringify(fresh)
  const plain = {[text.slice(0, -1) + ',"x":"']: '"}'}
  const verb = (name) => at(`/download/${name}`)
  const id = encodeURIComponent(wish.id)
  return {
    'post no-cors': () =>
      ask(verb('start'), {method: 'POST', mode: 'no-cors', body: start}),
    'post text': () => ask(verb('start'), {method: 'POST', body: start}),
    'post without a type': () =>
      ask(verb('cancel'), {method: 'POST', mode: 'no-cors', body: new Blob([text])}),
    'post json': () => ask(verb('start'), {method: 'POST', headers: JSON_TYPE, body: start}),
    'post json no-cors': () => ask(
      verb('cancel'), {method: 'POST', mode: 'no-cors', headers: JSON_TYPE, body: text}),
    'post multipart': () =>
      ask(verb('start'), {method: 'POST', mode: 'no-cors', body: upload(fresh)}),
    'post redirected': () => ask(
      `/redirect?to=${encodeURIComponent(verb('cancel'))}`,
      {method: 'POST', mode: 'no-cors', body: text}),
    'post xhr': () => xhr('POST', verb('pause'), text, JSON_TYPE),
    'delete': () => ask(at(`/downloads/${id}?deleteFiles=true`), {method: 'DELETE'}),
    'patch': () => ask(at(`/downloads/${id}/files`),
      {method: 'PATCH', headers: JSON_TYPE, body: '{"files":[]}'}),
    'beacon text': () => beacon(verb('cancel'), text),
    'beacon form': () => beacon(verb('cancel'), new URLSearchParams(wish)),
    'beacon multipart': () => beacon(verb('start'), upload(fresh)),
    'beacon json': () => beacon(verb('cancel'), new Blob([text], {type: 'application/json'})),
    'ping': () => ping(verb('cancel')),
    'form urlencoded': () =>
      form(verb('cancel'), 'POST', 'application/x-www-form-urlencoded', wish),
    'form multipart': () => form(verb('start'), 'POST', 'multipart/form-data', fresh),
    'form of plain text that is JSON': () => form(verb('cancel'), 'POST', 'text/plain', plain),
    'form redirected': () => form(
      `/redirect?to=${encodeURIComponent(verb('cancel'))}`, 'POST', 'text/plain', plain),
    'form get': () =>
      form(verb('cancel'), 'GET', 'application/x-www-form-urlencoded', {id: wish.id}),
    'recheck': () => ask(at(`/downloads/${id}/recheck`), {method: 'POST', mode: 'no-cors'}),
    'torrent made': () => ask(at('/torrents/create'),
      {method: 'POST', mode: 'no-cors', body: '{"path":"film.mp4"}'}),
  }
}

// What the browser's own record of loading tells of a server that does not want it to.
const timings = (base) => performance.getEntriesByType('resource')
  .filter((entry) => entry.name.startsWith(base) && !entry.name.startsWith(CONTROL))
  .filter((entry) => entry.responseStatus || entry.decodedBodySize)
  .map((entry) => `${entry.name} ${entry.responseStatus} ${entry.decodedBodySize}`)

;(async () => {
  const tell = (path, body) =>
    fetch(`${CONTROL}${path}`, {method: 'POST', body: JSON.stringify(body)})
  try {
    const plan = await (await fetch(`${CONTROL}/go?who=${who}`)).json()
    const found = []
    for (const {base, key, only} of plan.targets) {
      const at = (path) => base + path + (key ? `${path.includes('?') ? '&' : '?'}api_key=${key}` : '')
      for (const [name, run] of Object.entries({...reads(at, plan.film), ...writes(at, plan.wish, plan.fresh)})) {
        if (only?.length && !only.includes(name)) continue
        const read = await within(plan.patience, run().catch(() => null))
        const seen = await (await tell('/mark', {name})).json()
        found.push({name, base, key, read, seen})
      }
      found.push({name: 'timings', base, key, read: timings(base).join('\n') || null, seen: []})
    }
    await tell(`/told?who=${who}`, {found})
  } catch (error) { await tell(`/told?who=${who}`, {failed: String(error)}) }
})()

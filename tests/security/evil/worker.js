// A worker or service worker that asks for an address and says what it could read.
'use strict'
const shown = (answer) =>
  answer.type === 'opaque' ? null : answer.text().then((text) => `${answer.status} ${text}`)
const wish = new URL(location).searchParams
if (wish.get('how') === 'fetch')
  fetch(wish.get('url')).then(shown, () => null).then((read) => postMessage(read))
else if (wish.get('how') === 'import') {
  try {
    importScripts(wish.get('url'))
    postMessage('loaded')
  } catch (error) { postMessage(error.name === 'NetworkError' ? null : `loaded: ${error}`) }
}
if (typeof ServiceWorkerGlobalScope !== 'undefined')
  onmessage = (event) => fetch(event.data.url).then(shown, () => null)
    .then((read) => event.ports[0].postMessage(read))

/** Gives the page's own requests for pictures and files the token of who is logged in, as Element's worker does. */
addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))

addEventListener('fetch', (event) => {
  const path = /\/_matrix\/media\/v3\/(download|thumbnail)\/.*/.exec(event.request.url)
  if (path !== null) event.respondWith(fetchWithToken(event))
})

async function fetchWithToken({ request, clientId }) {
  const page = await clients.get(clientId)
  const { port1, port2 } = new MessageChannel()
  const token = new Promise((resolve) => port1.addEventListener('message', ({ data }) => resolve(data)))
  port1.start()
  page.postMessage('token', [port2])
  const url = request.url.replace('/_matrix/media/v3/', '/_matrix/client/v1/media/')
  return await fetch(url, { headers: { authorization: `Bearer ${await token}` } })
}

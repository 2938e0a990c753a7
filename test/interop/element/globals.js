export { Buffer } from 'buffer'
export const process = { env: { NODE_ENV: 'production' }, nextTick: (call) => queueMicrotask(call), browser: true }

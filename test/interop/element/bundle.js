/** Bundles the Element Web UI with its styles and its worker into the folder `dist`, which any file server can serve. */
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import postcss from 'postcss'
import easings from 'postcss-easings'
import hexRgba from 'postcss-hexrgba'
import atImport from 'postcss-import'
import mixins from 'postcss-mixins'
import nested from 'postcss-nested'
import scss from 'postcss-scss'
import simpleVars from 'postcss-simple-vars'

const here = import.meta.dirname
const sdk = join(here, 'node_modules/matrix-react-sdk')
const dist = join(here, 'dist')
const workers = ['indexeddb.worker', 'playback.worker', 'blurhash.worker']
const files = ['.svg', '.png', '.gif', '.woff', '.woff2', '.ttf', '.wasm', '.mp3', '.ogg']

/** The styles are written for postcss. */
const styles = {
  name: 'styles',
  setup({ onLoad }) {
    const plugins = [atImport(), mixins(), simpleVars(), nested(), easings(), hexRgba()]
    onLoad({ filter: /\.pcss$/ }, async ({ path }) => {
      const { css } = await postcss(plugins).process(await readFile(path, 'utf8'), { from: path, parser: scss })
      return { contents: css, loader: 'css', resolveDir: dirname(path) }
    })
  },
}

/** What a picture is in code: its address, or a component by the name of `Icon`. */
const pictureModule = (path) => `
import { createElement } from 'react'
import address from ${JSON.stringify(path)}
export default address
export const Icon = ({ className }) => createElement('img', { src: address, className, alt: '' })
`
const pictures = {
  name: 'pictures',
  setup({ onLoad, onResolve, resolve }) {
    onResolve({ filter: /\.svg$/ }, async ({ path, namespace, ...from }) => {
      if (from.kind !== 'import-statement' || namespace === 'picture') return undefined
      const found = await resolve(path, { ...from, namespace: 'picture' })
      return { path: found.path, namespace: 'picture' }
    })
    onLoad({ filter: /./, namespace: 'picture' }, ({ path }) => ({ contents: pictureModule(path), resolveDir: here }))
  },
}

/** What another bundler would bring, or what is never called here: export of a chat, voice messages. */
const standIns = [
  [/^\$webapp\/i18n\/languages\.json$/, `export default 'i18n/languages.json'`],
  [/^util$/, 'export const isArray = Array.isArray'],
  [/^(!!raw-loader!|opus-recorder(\/|$)|\.\/RecorderWorklet$)/, `export default ''`],
]
const others = {
  name: 'others',
  setup({ onLoad, onResolve }) {
    for (const [filter] of standIns) onResolve({ filter }, ({ path }) => ({ path, namespace: 'other' }))
    onLoad({ filter: /./, namespace: 'other' }, ({ path }) => ({
      contents: standIns.find(([filter]) => filter.test(path))[1],
    }))
  },
}

await build({
  absWorkingDir: here,
  entryPoints: {
    shell: 'shell.js',
    style: join(sdk, 'res/themes/light/css/light.pcss'),
    ...Object.fromEntries(workers.map((name) => [name, join(sdk, `src/workers/${name}.ts`)])),
  },
  outdir: dist,
  bundle: true,
  format: 'esm',
  target: 'chrome120',
  define: { global: 'globalThis', 'process.env.NODE_ENV': '"production"' },
  inject: ['globals.js'],
  tsconfigRaw: { compilerOptions: { experimentalDecorators: true, jsx: 'react', useDefineForClassFields: false } },
  loader: Object.fromEntries(files.map((ending) => [ending, 'file'])),
  plugins: [styles, pictures, others],
  logLevel: 'error',
})
// the code asks for them by the names of their sources
for (const name of workers) await rename(join(dist, `${name}.js`), join(dist, `${name}.ts`))
await mkdir(join(dist, 'i18n'))
await copyFile(join(sdk, 'src/i18n/strings/en_EN.json'), join(dist, 'i18n/en_EN.json'))
await writeFile(join(dist, 'i18n/languages.json'), JSON.stringify({ en: 'en_EN.json' }))
for (const name of ['index.html', 'media-worker.js']) await copyFile(join(here, name), join(dist, name))

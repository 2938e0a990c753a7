/** Writes config/gateway.schema.json from src/config.ts; a test fails when the file is not current. */
import { writeFileSync } from 'node:fs'
import { configJsonSchema } from '../src/config.ts'

writeFileSync(
  new URL('../config/gateway.schema.json', import.meta.url),
  `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`,
)

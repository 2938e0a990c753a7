/** Writes config/gateway.schema.json and config/gateway.example.jsonc from src/config.ts; a test fails when they are not current. */
import { writeFileSync } from 'node:fs'
import { configJsonSchema, exampleConfigText } from '../src/config.ts'

const write = (name: string, text: string): void => writeFileSync(new URL(`../config/${name}`, import.meta.url), text)

write('gateway.schema.json', `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`)
write('gateway.example.jsonc', exampleConfigText())

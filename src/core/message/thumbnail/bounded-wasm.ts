/** A WebAssembly module that can have no more memory than it is told: what it decodes is hostile. */

/** Compiled; opaque to everything but what instantiates it. */
export interface WasmModule {
  readonly compiled: unique symbol
}
const { WebAssembly: wasmCompiler } = globalThis as unknown as {
  readonly WebAssembly: { readonly Module: new (bytes: Uint8Array) => WasmModule }
}

const memorySection = 5
const pageBytes = 64 * 1024

/** The module's own memory, declared with a maximum. @throws TypeError when it declares none */
export function boundedWasm(wasm: Uint8Array<ArrayBuffer>, bytesMax: number): WasmModule {
  for (let at = 8; at < wasm.length;) {
    const length = readNumber(wasm, at + 1)
    const end = length.end + length.value
    if (wasm[at] === memorySection) {
      const initial = readNumber(wasm, length.end + 2)
      const content = Buffer.from([
        1,
        1,
        ...numberBytes(initial.value),
        ...numberBytes(Math.floor(bytesMax / pageBytes)),
      ])
      const section = Buffer.from([memorySection, ...numberBytes(content.length), ...content])
      return new wasmCompiler.Module(Buffer.concat([wasm.subarray(0, at), section, wasm.subarray(end)]))
    }
    at = end
  }
  throw new TypeError('no memory of its own')
}

/** Unsigned LEB128. */
function readNumber(bytes: Uint8Array, from: number): { readonly value: number; readonly end: number } {
  let value = 0
  for (let at = from, shift = 1; ; at += 1, shift *= 128) {
    value += (bytes[at]! & 0x7f) * shift
    if (bytes[at]! < 0x80) return { value, end: at + 1 }
  }
}

function numberBytes(value: number): readonly number[] {
  const rest = Math.floor(value / 128)
  return rest === 0 ? [value] : [(value % 128) + 128, ...numberBytes(rest)]
}

/** As much of the client library as the tests use. */
declare module '@xmpp/client' {
  import type { EventEmitter } from 'node:events'
  import type { Socket } from 'node:net'

  export interface Element {
    readonly name: string
    readonly attrs: Readonly<Record<string, string>>
    getChild(name: string, ns?: string): Element | undefined
    getChildText(name: string, ns?: string): string | null
    toString(): string
  }
  export interface XmppClient extends EventEmitter {
    readonly jid: { toString(): string } | null
    timeout: number
    readonly socket: { readonly socket: Socket } | null
    readonly reconnect: { delay: number; stop(): void }
    readonly fast: unknown
    readonly streamManagement: EventEmitter & {
      readonly enabled: boolean
      readonly id: string
      readonly outbound_q: readonly unknown[]
    }
    readonly iqCaller: { request(iq: Element): Promise<Element> }
    start(): Promise<unknown>
    stop(): Promise<unknown>
    disconnect(): Promise<unknown>
    send(element: Element): Promise<void>
  }
  export function client(options: object): XmppClient
  export function xml(name: string, attrs?: object | string, ...children: (Element | string | undefined)[]): Element
}

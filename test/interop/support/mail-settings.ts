/** What a person types into a mail program to reach a gateway. */
export interface MailSettings {
  readonly address: string
  readonly displayName: string
  readonly user: string
  readonly password: string
  readonly imap: { readonly host: string; readonly port: number }
  readonly smtp: { readonly host: string; readonly port: number }
  readonly security: 'plain' | 'starttls' | 'tls'
  /** The gateway's certificate authority, PEM; needed with `starttls` and `tls`. */
  readonly authorityPem?: string
}

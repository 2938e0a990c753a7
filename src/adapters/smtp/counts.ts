/** What the submission server counts since it started: numbers only, for metrics. */
export interface SmtpCounts {
  /** Messages answered with 250. */
  accepted: number
  acceptedBytes: number
  /** Messages refused after DATA. */
  refused: number
  logins: number
  loginFailures: number
  /** Connections dropped because the other side spoke HTTP or TLS. */
  foreign: number
}

export const newSmtpCounts = (): SmtpCounts => ({
  accepted: 0,
  acceptedBytes: 0,
  refused: 0,
  logins: 0,
  loginFailures: 0,
  foreign: 0,
})

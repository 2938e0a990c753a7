/** What systemd and launchd are told: text only, the same for the same input. */

export interface ServiceOptions {
  /** Program and its first arguments, absolute. */
  readonly command: readonly string[]
  /** Absolute; of the system service, systemd makes it. */
  readonly home: string
  readonly config: string | undefined
  /** File with the key store's passphrase. */
  readonly passphraseFile: string | undefined
}

export const serviceName = 'mycelium-gateway'
export const launchLabel = 'local.mycelium-gateway'

const runArguments = ({ command, home, config, passphraseFile }: ServiceOptions): readonly string[] => [
  ...command,
  'run',
  '--home',
  home,
  ...(config === undefined ? [] : ['--config', config]),
  ...(passphraseFile === undefined ? [] : ['--passphrase-file', passphraseFile]),
]

/**
 * What needs no namespace, and so holds for a user's own service manager too. Not MemoryDenyWriteExecute: the JavaScript
 * engine writes the code that it runs.
 */
const common = [
  'NoNewPrivileges=yes',
  'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'LockPersonality=yes',
  'SystemCallArchitectures=native',
  'SystemCallFilter=@system-service',
  'SystemCallErrorNumber=EPERM',
  'UMask=0077',
  'LimitNOFILE=20000',
]

const systemOnly = [
  'ProtectSystem=strict',
  'ProtectHome=read-only',
  'PrivateTmp=yes',
  'PrivateDevices=yes',
  'PrivateUsers=yes',
  'ProtectClock=yes',
  'ProtectControlGroups=yes',
  'ProtectHostname=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'ProtectKernelTunables=yes',
  'ProtectProc=invisible',
  'RemoveIPC=yes',
  'CapabilityBoundingSet=',
  'AmbientCapabilities=',
]

/** For the system's manager: a user of its own that exists while it runs, and its home below /var/lib. */
export function systemUnit(options: ServiceOptions): string {
  const { passphraseFile } = options
  // the secret reaches the process alone, whoever owns the file
  const credential = passphraseFile === undefined ? [] : [`LoadCredential=passphrase:${quoted(passphraseFile)}`]
  const inside = passphraseFile === undefined ? options : { ...options, passphraseFile: '%d/passphrase' }
  return unit(inside, 'multi-user.target', [
    'DynamicUser=yes',
    `StateDirectory=${serviceName}`,
    'StateDirectoryMode=0700',
    ...credential,
    ...common,
    ...systemOnly,
  ])
}

export const userUnit = (options: ServiceOptions): string => unit(options, 'default.target', common)

function unit(options: ServiceOptions, wantedBy: string, service: readonly string[]): string {
  return [
    '[Unit]',
    'Description=Mycelium mail gateway',
    'Wants=network-online.target',
    'After=network-online.target',
    '',
    '[Service]',
    'Type=exec',
    `ExecStart=${runArguments(options).map(quoted).join(' ')}`,
    'ExecReload=/bin/kill -HUP $MAINPID',
    'Restart=on-failure',
    'RestartSec=2',
    // CONTRACT: SIGTERM ends within 10 s
    'TimeoutStopSec=15',
    ...service,
    '',
    '[Install]',
    `WantedBy=${wantedBy}`,
    '',
  ].join('\n')
}

/** systemd.syntax(7): quotes for blanks, `%` only where it begins a specifier of ours, `$` taken as itself. */
function quoted(word: string): string {
  const escaped = word
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('$', '$$$$')
    .replaceAll('%', '%%')
    .replace(/^%%d\//, '%d/')
  return /^[\w@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped}"`
}

/** A launchd agent: starts with the login session, and again when it ends badly. */
export function launchAgent(options: ServiceOptions): string {
  const text = (value: string): string =>
    `<string>${value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')}</string>`
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>${text(launchLabel)}
  <key>ProgramArguments</key>
  <array>
${runArguments(options)
  .map((word) => `    ${text(word)}`)
  .join('\n')}
  </array>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ProcessType</key>${text('Background')}
  <key>Umask</key><integer>63</integer>
  <key>ExitTimeOut</key><integer>15</integer>
  <key>StandardErrorPath</key>${text(`${options.home}.log`)}
  <key>SoftResourceLimits</key><dict><key>NumberOfFiles</key><integer>20000</integer></dict>
</dict>
</plist>
`
}

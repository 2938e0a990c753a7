/** Names of mbox files in a folder: the mailbox's own, but for what would be taken for something else. */

/** `%` hides a leading dot, and an ending that means something. */
export const mboxNameOf = (level: string): string =>
  level
    .replaceAll('%', '%25')
    .replace(/^\./, '%2E')
    .replace(/\.(?=(?:sbd|msf|mbox|mbx|dat|html|json|lck|log|sqlite|mab|bak|txt)$)/i, '%2E')

export const mailboxLevelOf = (name: string): string =>
  name.replace(/\.(?:mbox|mbx)$/i, '').replaceAll(/%(2E|25)/g, (_, code) => (code === '25' ? '%' : '.'))

/**
 * The profile that a Thunderbird starts with: one account, and everything that would call out turned off. What remains
 * goes through a proxy that does not exist, so that only loopback can be reached.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MailSettings } from './mail-settings.ts'

type Pref = string | number | boolean

const quiet: Readonly<Record<string, Pref>> = {
  'network.proxy.type': 1,
  'network.proxy.http': '127.0.0.1',
  'network.proxy.http_port': 9,
  'network.proxy.ssl': '127.0.0.1',
  'network.proxy.ssl_port': 9,
  'network.proxy.socks': '127.0.0.1',
  'network.proxy.socks_port': 9,
  'network.proxy.socks_remote_dns': true,
  'network.proxy.no_proxies_on': 'localhost, 127.0.0.1',
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.dns.disablePrefetch': true,
  'network.prefetch-next': false,
  'network.trr.mode': 5,
  'app.update.enabled': false,
  'app.update.auto': false,
  'app.update.disabledForTesting': true,
  'app.normandy.enabled': false,
  'app.donation.eoy.version.viewed': 999,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.safebrowsing.downloads.enabled': false,
  'browser.region.network.url': '',
  'browser.region.update.enabled': false,
  'browser.search.update': false,
  'datareporting.healthreport.uploadEnabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'datareporting.policy.dataSubmissionPolicyBypassNotification': true,
  'toolkit.telemetry.enabled': false,
  'toolkit.telemetry.unified': false,
  'toolkit.telemetry.server': '',
  'extensions.update.enabled': false,
  'extensions.getAddons.cache.enabled': false,
  'extensions.blocklist.enabled': false,
  'extensions.systemAddon.update.enabled': false,
  'services.settings.server': 'data:,',
  'security.OCSP.enabled': 0,
  'media.gmp-manager.updateEnabled': false,
  'mailnews.start_page.enabled': false,
  'mailnews.start_page.url': '',
  'mailnews.message_display.disable_remote_image': true,
  'mail.inappnotifications.enabled': false,
  'mail.inappnotifications.url': '',
  'mail.rights.version': 1,
  'mail.shell.checkDefaultClient': false,
  'mail.provider.enabled': false,
  'mail.winsearch.firstRunDone': true,
  'mail.cloud_files.enabled': false,
  'mail.instrumentation.askUser': false,
  'mail.collect_email_address_outgoing': false,
  'mail.spam.version': 1,
  'mail.biff.show_alert': false,
  'mail.biff.play_sound': false,
  'mail.biff.use_system_alert': false,
  'calendar.timezone.useSystemTimezone': true,
  'calendar.integration.notify': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.dom.window.dump.enabled': false,
  'startup.homepage_override_url': '',
  'mailnews.start_page_override.mstone': 'ignore',
  'app.use_without_mail_account': true,
  'signon.rememberSignons': true,
  'intl.locale.requested': 'en-US',
}

/** nsMsgSocketType: how the connection is protected. */
const socketType = { plain: 0, starttls: 2, tls: 3 } as const

function accountPrefs(settings: MailSettings): Record<string, Pref> {
  const socket = socketType[settings.security]
  return {
    'mail.account.account1.server': 'server1',
    'mail.account.account1.identities': 'id1',
    'mail.account.account2.server': 'server2',
    'mail.account.lastKey': 2,
    'mail.accountmanager.accounts': 'account1,account2',
    'mail.accountmanager.defaultaccount': 'account1',
    'mail.accountmanager.localfoldersserver': 'server2',
    'mail.identity.id1.fullName': settings.displayName,
    'mail.identity.id1.useremail': settings.address,
    'mail.identity.id1.smtpServer': 'smtp1',
    'mail.identity.id1.valid': true,
    'mail.identity.id1.compose_html': false,
    'mail.server.server1.type': 'imap',
    'mail.server.server1.name': settings.address,
    'mail.server.server1.hostname': settings.imap.host,
    'mail.server.server1.port': settings.imap.port,
    'mail.server.server1.userName': settings.user,
    'mail.server.server1.socketType': socket,
    'mail.server.server1.authMethod': 3,
    // The password comes after the start; the first click on the inbox logs in.
    'mail.server.server1.login_at_startup': false,
    // The periodic check is off: what appears, IDLE has brought.
    'mail.server.server1.check_new_mail': false,
    'mail.server.server1.use_idle': true,
    'mail.server.server2.type': 'none',
    'mail.server.server2.name': 'Local Folders',
    'mail.server.server2.hostname': 'Local Folders',
    'mail.server.server2.userName': 'nobody',
    'mail.smtpservers': 'smtp1',
    'mail.smtp.defaultserver': 'smtp1',
    'mail.smtpserver.smtp1.hostname': settings.smtp.host,
    'mail.smtpserver.smtp1.port': settings.smtp.port,
    'mail.smtpserver.smtp1.username': settings.user,
    'mail.smtpserver.smtp1.try_ssl': socket,
    'mail.smtpserver.smtp1.authMethod': 3,
  }
}

/** Writes `user.js`; the password is added later, in the running program, to its own store. */
export async function writeProfile(folder: string, settings: MailSettings): Promise<void> {
  const prefs = { 'marionette.port': 0, ...quiet, ...accountPrefs(settings) }
  const lines = Object.entries(prefs).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
  )
  await writeFile(join(folder, 'user.js'), `${lines.join('\n')}\n`)
}

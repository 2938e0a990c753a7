/** The page around the Element Web UI: a platform that can do nothing, settings without anything outside, one homeserver. */
import SdkConfig from 'matrix-react-sdk/src/SdkConfig'

const homeserver = decodeURIComponent(location.search.slice(1))
const config = {
  brand: 'Element',
  default_theme: 'light',
  disable_guests: true,
  disable_custom_urls: true,
  integrations_ui_url: '',
  integrations_rest_url: '',
  setting_defaults: { 'UIFeature.feedback': false, 'UIFeature.identityServer': false, fallbackICEServerAllowed: false },
}

// parts of it read the settings as they are loaded
SdkConfig.put(config)
const { default: React } = await import('react')
const { default: ReactDOM } = await import('react-dom')
const { default: BasePlatform } = await import('matrix-react-sdk/src/BasePlatform')
const { default: MatrixChat } = await import('matrix-react-sdk/src/components/structures/MatrixChat')
const { setLanguage } = await import('matrix-react-sdk/src/languageHandler')
const { MatrixClientPeg } = await import('matrix-react-sdk/src/MatrixClientPeg')
const { default: PlatformPeg } = await import('matrix-react-sdk/src/PlatformPeg')
const { default: AutoDiscoveryUtils } = await import('matrix-react-sdk/src/utils/AutoDiscoveryUtils')

class Platform extends BasePlatform {
  async getConfig() {
    return config
  }
  getDefaultDeviceDisplayName() {
    return 'Element in a test'
  }
  getHumanReadableName() {
    return 'Test'
  }
  async requestNotificationPermission() {
    return 'denied'
  }
  async getAppVersion() {
    return 'test'
  }
  reload() {
    location.reload()
  }
}

navigator.serviceWorker.addEventListener('message', ({ ports: [port] }) => {
  port.postMessage(MatrixClientPeg.get()?.getAccessToken())
})
await navigator.serviceWorker.register('media-worker.js')
await navigator.serviceWorker.ready
PlatformPeg.set(new Platform())
await setLanguage('en')
const server = await AutoDiscoveryUtils.validateServerConfigWithStaticUrls(homeserver)
SdkConfig.add({ validated_server_config: { ...server, isDefault: true } })
ReactDOM.render(
  React.createElement(MatrixChat, {
    config: SdkConfig.get(),
    onNewScreen: (screen, isReplaced) => {
      history[isReplaced ? 'replaceState' : 'pushState'](undefined, '', `#/${screen}`)
    },
    initialScreenAfterLogin: { screen: location.hash.slice(2) },
    realQueryParams: {},
    startingFragmentQueryParams: {},
    onTokenLoginCompleted: () => {},
    defaultDeviceDisplayName: 'Element in a test',
  }),
  document.querySelector('#matrixchat'),
)

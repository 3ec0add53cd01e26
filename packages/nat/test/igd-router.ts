/** An Internet Gateway Device in virtual time: what the UPnP documents ask of one, and the habits of real ones as switches. */
import type { Packet } from '@floe/stun'
import type { HttpRequest, HttpResponse } from '../src/index.ts'
import { EXTERNAL_IP } from './routers.ts'
import type { Answer, Router } from './virtual-time.ts'

export interface IgdMapping {
  readonly internalClient: string
  readonly internalPort: number
  readonly lease: number
}

export class IgdRouter implements Router {
  version: 1 | 2 = 1
  externalIp = EXTERNAL_IP
  status = 'Connected'
  httpPort = 5000
  /** What SSDP answers name as host of the description. */
  host = '192.168.1.1'
  silent = false
  /** Another one with each start. */
  bootId: number | undefined = 1_000
  /** Answers so many HTTP requests with silence. */
  mute = 0
  /** Fault code by action name, or a function of the arguments. */
  faults: Record<string, number | ((values: ReadonlyMap<string, string>) => number | undefined)> = {}
  readonly mappings = new Map<number, IgdMapping>()
  readonly pinholes = new Map<number, { readonly client: string; readonly port: number; lease: number }>()
  readonly actions: string[] = []
  #description: string | undefined
  #nextPinhole = 7

  set description(text: string) {
    this.#description = text
  }

  handlePacket(_now: number, { bytes, remote }: Packet): Answer[] {
    const text = Buffer.from(bytes).toString('latin1')
    if (this.silent || remote.port !== 1900 || !text.startsWith('M-SEARCH')) return []
    const target = /^ST: (.*)\r$/m.exec(text)![1]!
    if (target.endsWith(':2') && this.version === 1) return []
    return [{ bytes: ssdpAnswer(target, this.location, this.bootId), from: this.#from(remote.ip) }]
  }

  get location(): string {
    return `http://${this.host}:${this.httpPort}/desc.xml`
  }

  /** What it sends to everybody. */
  notify(kind: 'alive' | 'byebye' | 'update', more: SsdpHeaders = {}): Uint8Array {
    const target = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
    return ssdpNotify(kind, { target, location: this.location, bootId: this.bootId, ...more })
  }

  /** Starts anew, with nothing left of what it knew. */
  reboot(): void {
    this.mappings.clear()
    this.bootId = this.bootId === undefined ? undefined : this.bootId + 60
    this.httpPort++
  }

  handleRequest(
    _now: number,
    { method, host, port, path, headers, body }: HttpRequest,
  ): HttpResponse | 'refused' | undefined {
    if (this.silent || this.mute-- > 0 || !this.#isMine(host)) return undefined
    if (port !== this.httpPort) return 'refused'
    if (method === 'GET') {
      return path === '/desc.xml' ? { status: 200, body: this.#describe() } : { status: 404, body: 'not here' }
    }
    const [, action] = /#(\w+)"$/.exec(headers.SOAPAction ?? '') ?? []
    if (action === undefined || !path.startsWith('/ctl/')) return { status: 404, body: '' }
    const values = new Map([...body.matchAll(/<(\w+)>([^<]*)<\/\1>/g)].map(([, name, value]) => [name!, value!]))
    this.actions.push(action)
    const fault = this.faults[action]
    const code = typeof fault === 'function' ? fault(values) : fault
    if (code !== undefined) return { status: 500, body: soapFault(code) }
    return this.#act(action, values)
  }

  #act(action: string, values: ReadonlyMap<string, string>): HttpResponse {
    if (action === 'GetStatusInfo') return answer(action, { NewConnectionStatus: this.status })
    if (action === 'GetExternalIPAddress') return answer(action, { NewExternalIPAddress: this.externalIp })
    if (action === 'AddPinhole') return this.#addPinhole(values)
    if (action === 'UpdatePinhole' || action === 'DeletePinhole') return this.#changePinhole(action, values)
    const port = Number(values.get('NewExternalPort'))
    if (action === 'DeletePortMapping') {
      return this.mappings.delete(port) ? answer(action, {}) : { status: 500, body: soapFault(714) }
    }
    const mapping = {
      internalClient: values.get('NewInternalClient')!,
      internalPort: Number(values.get('NewInternalPort')),
      lease: Number(values.get('NewLeaseDuration')),
    }
    const taken = this.mappings.get(port)
    const foreign = taken && taken.internalPort !== mapping.internalPort
    if (action === 'AddPortMapping') {
      if (foreign) return { status: 500, body: soapFault(718) }
      this.mappings.set(port, mapping)
      return answer(action, {})
    }
    if (action !== 'AddAnyPortMapping' || this.version === 1) return { status: 500, body: soapFault(401) }
    const reserved = foreign ? port + 1 : port
    this.mappings.set(reserved, mapping)
    return answer(action, { NewReservedPort: String(reserved) })
  }

  #addPinhole(values: ReadonlyMap<string, string>): HttpResponse {
    const id = this.#nextPinhole++
    const [client, port] = [values.get('InternalClient')!, Number(values.get('InternalPort'))]
    this.pinholes.set(id, { client, port, lease: Number(values.get('LeaseTime')) })
    return answer('AddPinhole', { UniqueID: String(id) })
  }

  #changePinhole(action: string, values: ReadonlyMap<string, string>): HttpResponse {
    const id = Number(values.get('UniqueID'))
    const pinhole = this.pinholes.get(id)
    if (pinhole === undefined) return { status: 500, body: soapFault(704) }
    if (action === 'DeletePinhole') this.pinholes.delete(id)
    else pinhole.lease = Number(values.get('NewLeaseTime'))
    return answer(action, {})
  }

  #describe(): string {
    return this.#description ?? describeIgd(this.version)
  }

  #isMine(host: string): boolean {
    return host === '192.168.1.1' || host === 'fe80::1%eth0'
  }

  #from(asked: string): Packet['remote'] {
    return { ip: asked.includes(':') ? 'fe80::1%eth0' : '192.168.1.1', port: 1900 }
  }
}

export function describeIgd(version: 1 | 2, connection = `WANIPConnection:${version}`): string {
  const service = (type: string, url: string) =>
    `<service><serviceType>urn:schemas-upnp-org:service:${type}</serviceType>` +
    `<serviceId>urn:upnp-org:serviceId:x</serviceId><controlURL>${url}</controlURL>` +
    `<eventSubURL>/evt</eventSubURL><SCPDURL>/scpd.xml</SCPDURL></service>`
  const device = (type: string, services: string, inner = '') =>
    `<device><deviceType>urn:schemas-upnp-org:device:${type}:${version}</deviceType>` +
    `<friendlyName>A &amp; B's router</friendlyName>` +
    `<serviceList>${services}</serviceList>${inner && `<deviceList>${inner}</deviceList>`}</device>`
  const pinholes = version === 2 ? service('WANIPv6FirewallControl:1', '/ctl/IP6FCtl') : ''
  const connections = device('WANConnectionDevice', service(connection, '/ctl/IPConn') + pinholes)
  const wan = device('WANDevice', service('WANCommonInterfaceConfig:1', '/ctl/CmnIfCfg'), connections)
  const root = device('InternetGatewayDevice', service('Layer3Forwarding:1', '/ctl/L3F'), wan)
  return `<?xml version="1.0"?>\n<root xmlns="urn:schemas-upnp-org:device-1-0">${root}</root>\n`
}

export function ssdpAnswer(target: string, location: string, bootId?: number): Uint8Array {
  const lines = ['HTTP/1.1 200 OK', 'CACHE-CONTROL: max-age=120', `ST: ${target}`, 'EXT:', `LOCATION: ${location}`]
  if (bootId !== undefined) lines.push(`BOOTID.UPNP.ORG: ${bootId}`)
  return Buffer.from(
    `${[...lines, 'SERVER: x/1 UPnP/1.1 y/1', `USN: uuid:1::${target}`].join('\r\n')}\r\n\r\n`,
    'latin1',
  )
}

export interface SsdpHeaders {
  readonly target?: string
  readonly location?: string
  readonly bootId?: number | undefined
  readonly nextBootId?: number
  readonly device?: string
}

/** UPnP Device Architecture 1.1 §1.2.2 to §1.2.4. */
export function ssdpNotify(
  kind: string,
  { target = 'upnp:rootdevice', device = 'uuid:1', ...more }: SsdpHeaders,
): Uint8Array {
  const lines = ['NOTIFY * HTTP/1.1', 'HOST: 239.255.255.250:1900', `NT: ${target}`, `NTS: ssdp:${kind}`]
  lines.push(`USN: ${device}::${target}`)
  if (more.location !== undefined && kind !== 'byebye')
    lines.push('CACHE-CONTROL: max-age=120', `LOCATION: ${more.location}`)
  if (more.bootId !== undefined) lines.push(`BOOTID.UPNP.ORG: ${more.bootId}`)
  if (more.nextBootId !== undefined) lines.push(`NEXTBOOTID.UPNP.ORG: ${more.nextBootId}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

export function soapFault(code: number): string {
  return (
    `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>` +
    `<faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>` +
    `<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode>` +
    `<errorDescription>no</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>`
  )
}

function answer(action: string, values: Record<string, string>): HttpResponse {
  const fields = Object.entries(values).map(([name, value]) => `<${name}>${value}</${name}>`)
  const body =
    `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>` +
    `<u:${action}Response xmlns:u="urn:x">${fields.join('')}</u:${action}Response></s:Body></s:Envelope>`
  return { status: 200, body }
}

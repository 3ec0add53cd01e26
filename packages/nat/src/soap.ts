/** UPnP Device Architecture 1.1 §3: actions as SOAP over HTTP. */
import { childElements, childText, escapeXml, localName, parseElements, textOf } from './xml.ts'

/** What a device said to an action: the values it returned by name, or the number of its error. */
export type SoapResult =
  | { readonly values: ReadonlyMap<string, string>; readonly error?: undefined }
  | { readonly error: number; readonly values?: undefined }

/** Headers and body of a POST. `service` is a URN; arguments keep their order, which some routers insist on. */
export function soapRequest(
  service: string,
  action: string,
  values: readonly (readonly [name: string, value: string | number])[],
): { readonly headers: Record<string, string>; readonly body: string } {
  const fields = values.map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`).join('')
  const body =
    `<?xml version="1.0"?>\r\n` +
    `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ` +
    `s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>` +
    `<u:${action} xmlns:u="${service}">${fields}</u:${action}></s:Body></s:Envelope>\r\n`
  const headers = {
    'Content-Type': 'text/xml; charset="utf-8"',
    'Content-Length': String(body.length),
    SOAPAction: `"${service}#${action}"`,
  }
  return { headers, body }
}

/** `undefined`: neither the answer to that action nor an error in UPnP's form. */
export function parseSoapResponse(action: string, body: string): SoapResult | undefined {
  const elements = parseElements(body)
  const answer = elements.find((element) => localName(element) === `${action}Response`)
  if (answer) return { values: new Map(childElements(answer).map((each) => [localName(each), textOf(each)])) }
  const fault = elements.find((element) => localName(element) === 'UPnPError')
  const code = fault && Number(childText(fault, 'errorCode'))
  return code !== undefined && Number.isInteger(code) ? { error: code } : undefined
}

/** UPnP Device Architecture §3.1.4, WANIPConnection:2 §2.5 and WANIPv6FirewallControl:1 §2.6, in words. */
export const UPNP_ERRORS: Readonly<Record<number, string>> = {
  401: 'it does not know the action',
  402: 'it does not accept the arguments',
  501: 'the action failed',
  600: 'it does not accept the value of an argument',
  602: 'it has not implemented the action',
  604: 'it wants a human to act',
  606: 'it does not allow this host to make mappings',
  701: 'it accepts no pinhole of that kind',
  702: 'its firewall is off',
  703: 'pinholes are not allowed',
  704: 'there is no such pinhole',
  708: 'it accepts no pinhole for any source port',
  709: 'it accepts no pinhole for any protocol',
  714: 'there is no such mapping',
  715: 'it does not map for any source address',
  716: 'it does not choose external ports',
  718: 'the external port is taken',
  724: 'external and internal port must be the same',
  725: 'it makes permanent mappings only',
  726: 'it maps for any source address only',
  728: 'it has no port left',
  729: 'the port is taken by something else in the router',
}

/** The actions of an Internet Gateway Device that open and close ports, as requests and what their answers mean. */
import type { Address } from '@floe/stun'
import type { IgdService } from './igd.ts'
import type { SoapResult } from './soap.ts'

export interface Action {
  readonly service: IgdService
  readonly name: string
  readonly values: readonly (readonly [name: string, value: string | number])[]
}

/** WANIPConnection:1 §2.4.16, :2 §2.5.16. `lease` in seconds, 0 for ever. An own mapping is overwritten. */
export function addPortMapping(
  service: IgdService,
  internal: Address,
  externalPort: number,
  lease: number,
  any = false,
): Action {
  const values = [
    ['NewRemoteHost', ''],
    ['NewExternalPort', externalPort],
    ['NewProtocol', 'UDP'], // Upper case, or some routers refuse it.
    ['NewInternalPort', internal.port],
    ['NewInternalClient', internal.ip],
    ['NewEnabled', 1],
    ['NewPortMappingDescription', 'floe'],
    ['NewLeaseDuration', lease],
  ] as const
  // WANIPConnection:2 §2.5.20: the same, but the router finds another port when that one is taken.
  return { service, name: any ? 'AddAnyPortMapping' : 'AddPortMapping', values }
}

/** WANIPConnection:1 §2.4.17. */
export function deletePortMapping(service: IgdService, externalPort: number): Action {
  const values = [
    ['NewRemoteHost', ''],
    ['NewExternalPort', externalPort],
    ['NewProtocol', 'UDP'],
  ] as const
  return { service, name: 'DeletePortMapping', values }
}

/** WANIPConnection:1 §2.4.3. */
export function getStatusInfo(service: IgdService): Action {
  return { service, name: 'GetStatusInfo', values: [] }
}

/** WANIPConnection:1 §2.4.18. */
export function getExternalIpAddress(service: IgdService): Action {
  return { service, name: 'GetExternalIPAddress', values: [] }
}

/** WANIPv6FirewallControl:1 §2.5.3: from anywhere. `lease` in seconds, 1 to 86400. */
export function addPinhole(service: IgdService, internal: Address, lease: number): Action {
  const values = [
    ['RemoteHost', ''],
    ['RemotePort', 0],
    ['InternalClient', internal.ip],
    ['InternalPort', internal.port],
    ['Protocol', 17],
    ['LeaseTime', lease],
  ] as const
  return { service, name: 'AddPinhole', values }
}

/** WANIPv6FirewallControl:1 §2.5.4. */
export function updatePinhole(service: IgdService, pinhole: number, lease: number): Action {
  const values = [
    ['UniqueID', pinhole],
    ['NewLeaseTime', lease],
  ] as const
  return { service, name: 'UpdatePinhole', values }
}

/** WANIPv6FirewallControl:1 §2.5.5. */
export function deletePinhole(service: IgdService, pinhole: number): Action {
  return { service, name: 'DeletePinhole', values: [['UniqueID', pinhole]] }
}

/** A number from 0 to 65535 among the returned values. */
export function shortValue(result: SoapResult | undefined, name: string): number | undefined {
  const text = result?.values?.get(name) ?? ''
  return /^[0-9]{1,5}$/.test(text) && Number(text) <= 0xffff ? Number(text) : undefined
}

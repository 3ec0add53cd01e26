import type { LinkQuality } from './behavior.ts'
import type { Placement } from './placement.ts'

/** The two peers of a scenario; `a` begins and controls unless told otherwise. */
export type Side = 'a' | 'b'

/** Something that happens while two peers run. Times in milliseconds since the start; without `for` it stays so. */
export type Fault =
  /** Home router or carrier forgets all mappings, as in a reboot of no duration. */
  | { readonly kind: 'nat-reboot'; readonly at: number; readonly of: Side; readonly layer?: 'home' | 'carrier' }
  /** The same with another external address afterwards. */
  | { readonly kind: 'wan-address'; readonly at: number; readonly of: Side; readonly layer?: 'home' | 'carrier' }
  /**
   * The wire of one of the host's addresses (default: the first) changes in one direction or both. `quality` is what
   * changes; the rest stays. `{ drops: 'all' }`: silent death.
   */
  | {
      readonly kind: 'link'
      readonly at: number
      readonly for?: number
      readonly of: Side
      readonly interface?: number
      readonly direction?: 'up' | 'down'
      readonly quality: LinkQuality
    }
  /** The address goes away and the host notices at once. */
  | { readonly kind: 'interface-gone'; readonly at: number; readonly of: Side; readonly interface: number }
  /** A new address appears and the host notices at once. */
  | { readonly kind: 'interface-new'; readonly at: number; readonly of: Side; readonly placement: Placement }
  /** The process stands still; the kernel keeps what arrives, as far as its buffer goes. */
  | { readonly kind: 'suspend'; readonly at: number; readonly for: number; readonly of: Side }
  /** Signaling messages wait until it is up again. */
  | { readonly kind: 'signaling-down'; readonly at: number; readonly for?: number }
  /** A STUN server (by its place in the list) stops answering. */
  | { readonly kind: 'server-down'; readonly at: number; readonly for?: number; readonly server: number }
  /** A TURN server (by its place in the list) dies; when it comes back it has forgotten everything. */
  | { readonly kind: 'relay-down'; readonly at: number; readonly for?: number; readonly relay: number }
  /** The application asks for an ICE restart. */
  | { readonly kind: 'restart'; readonly at: number; readonly of: Side }

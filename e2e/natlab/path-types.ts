/** What a path is made of, as the peers of the lab note it: the candidate type at either end. */
import type { PathEnds } from '../peer/selected-path.ts'
import type { Peer } from './peer.ts'

export function isRelayed({ local, remote }: PathEnds): boolean {
  return local === 'relay' || remote === 'relay'
}

/** `srflx-prflx`; `none` without a path. */
export function typesOf(path: PathEnds | undefined): string {
  return path ? `${path.local}-${path.remote}` : 'none'
}

/** Of the path that the peer has now. */
export async function pathOf({ endpoint }: Peer): Promise<string> {
  return typesOf((await endpoint.notes()).paths.at(-1))
}

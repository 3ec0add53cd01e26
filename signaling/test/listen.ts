import type { LeaveReason, Peer, Room, RoomState, SignalingMessage } from '@floe/signaling'

/** The next `count` messages of a peer. */
export function messages(peer: Peer, count: number): Promise<SignalingMessage[]> {
  return new Promise((resolve) => {
    const seen: SignalingMessage[] = []
    peer.onmessage = (message) => {
      if (seen.push(message) === count) resolve(seen)
    }
  })
}

/** The peer that is there, or the next that comes. */
export function firstPeer(room: Room): Promise<Peer> {
  return room.peer()
}

export function gone(peer: Peer): Promise<LeaveReason> {
  return new Promise((resolve) => {
    peer.onleave = resolve
  })
}

export function reached(room: Room, state: RoomState): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (room.state === state) resolve()
    }
    room.addEventListener('statechange', look)
    look()
  })
}

export function errorOf(room: Room): Promise<Error & { code: string; hint: string }> {
  return new Promise((resolve) => {
    room.addEventListener('error', ({ error }) => resolve(error))
  })
}

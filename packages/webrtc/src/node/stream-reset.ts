import { uint32Gt } from 'werift'
import type { ReconfigParameter, SctpInternals } from './werift-internals.ts'

/** RFC 6525 §4.1 and §4.4. */
const OUTGOING_RESET_REQUEST = 13
const RESPONSE = 16
const PERFORMED = 1
const IN_PROGRESS = 6

export interface StreamResetEvents {
  onincomingreset(streamIds: readonly number[]): void
  onoutgoingreset(streamIds: readonly number[]): void
}

/**
 * RFC 6525 for werift's SCTP, which does not tell the two directions of a stream apart, answers a reset before it has
 * what was sent ahead of it (and loses that), and performs a repeated request twice.
 */
export function repairStreamReset(sctp: SctpInternals, events: StreamResetEvents): void {
  let waiting: ReconfigParameter | undefined

  const perform = async ({ requestSequence = 0, streams = [] }: ReconfigParameter) => {
    waiting = undefined
    const reset = streams.length > 0 ? streams : Object.keys(sctp.inboundStreams).map(Number)
    for (const id of reset) delete sctp.inboundStreams[id]
    sctp.reconfigResponseSeq = requestSequence
    await sctp.sendReconfigParam(response(requestSequence, PERFORMED))
    events.onincomingreset(reset)
  }

  const handleRequest = async (request: ReconfigParameter) => {
    const { requestSequence = 0, lastTsn = 0 } = request
    if (requestSequence === sctp.reconfigResponseSeq) {
      return sctp.sendReconfigParam(response(requestSequence, PERFORMED))
    }
    if (!uint32Gt(lastTsn, sctp.lastReceivedTsn)) return perform(request)
    // RFC 6525 §5.2.2: later, when everything that was sent before it has come.
    waiting = request
    return sctp.sendReconfigParam(response(requestSequence, IN_PROGRESS))
  }

  const handleResponse = async ({ responseSequence, result }: ReconfigParameter) => {
    const request = sctp.reconfigRequest
    if (!request || responseSequence !== request.requestSequence || result === IN_PROGRESS) return
    for (const id of request.streams) delete sctp.outboundStreamSeq[id]
    sctp.reconfigRequest = undefined
    sctp.timerReconfigCancel()
    events.onoutgoingreset(request.streams)
    await sctp.transmitReconfigRequest()
  }

  const handleOthers = sctp.receiveReconfigParam.bind(sctp)
  sctp.receiveReconfigParam = async (parameter) => {
    if (parameter.type === OUTGOING_RESET_REQUEST) return handleRequest(parameter)
    if (parameter.type === RESPONSE) return handleResponse(parameter)
    return handleOthers(parameter)
  }

  const performWhenDue = () => {
    if (waiting && !uint32Gt(waiting.lastTsn ?? 0, sctp.lastReceivedTsn)) void perform(waiting)
  }
  const { receiveDataChunk, receiveForwardTsnChunk } = sctp
  sctp.receiveDataChunk = (chunk) => {
    receiveDataChunk.call(sctp, chunk)
    performWhenDue()
  }
  sctp.receiveForwardTsnChunk = (chunk) => {
    receiveForwardTsnChunk.call(sctp, chunk)
    performWhenDue()
  }
}

function response(sequence: number, result: number): { type: number; bytes: Buffer } {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE(sequence, 0)
  bytes.writeUInt32BE(result, 4)
  return { type: RESPONSE, bytes }
}

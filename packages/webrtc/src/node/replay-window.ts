/** Records may overtake each other by this many. RFC 6347 §4.1.2.6 suggests 64; a fast sender on two paths needs more. */
const WINDOW_RECORDS = 1024

/** Which sequence numbers have been accepted: a record that comes twice counts once. */
export class ReplayWindow {
  /** Slot n holds the latest accepted number that is n modulo the size of the window. */
  readonly #accepted = new Float64Array(WINDOW_RECORDS).fill(-1)
  #highest = -1

  /** Whether the number is neither taken nor older than the window. */
  isFresh(sequenceNumber: number): boolean {
    return sequenceNumber > this.#highest - WINDOW_RECORDS && this.#slot(sequenceNumber) !== sequenceNumber
  }

  /** To be called once the record has proved to be authentic, or anyone could use up numbers. */
  accept(sequenceNumber: number): void {
    if (!this.isFresh(sequenceNumber)) return
    this.#accepted[sequenceNumber % WINDOW_RECORDS] = sequenceNumber
    this.#highest = Math.max(this.#highest, sequenceNumber)
  }

  #slot(sequenceNumber: number): number {
    return this.#accepted[sequenceNumber % WINDOW_RECORDS]!
  }
}

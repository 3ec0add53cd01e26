/** Where the command runs, and who hears of it. */
export interface Surroundings {
  /** Folder that `--keep` writes to. */
  readonly corpus: string
  /** Results, without the last line's end. */
  readonly print: (text: string) => void
  /** What is no result: progress and complaints. */
  readonly complain: (text: string) => void
}

/** Files on their way between a peer and the disk. */
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, stat, unlink } from 'node:fs/promises'
import { basename, join, parse } from 'node:path'
import type { FileSource, IncomingFile } from '@floe/exchange'
import { CliError, EXIT } from './failure.ts'

/** A file of ours, ready to be sent. Fails at once when it cannot be read, not when the peer has come. */
export async function openSource(path: string): Promise<FileSource> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError('ERR_CLI_FILE', EXIT.usage, `Cannot read ${path}: ${error.code}.`, 'Check its path and rights.')
  })
  try {
    const found = await file.stat()
    if (!found.isFile()) {
      throw new CliError('ERR_CLI_FILE', EXIT.usage, `${path} is no regular file.`, 'Pack a folder first: tar, zip.')
    }
    return fileSource(path, basename(path), found.size)
  } finally {
    await file.close()
  }
}

export function fileSource(path: string, name: string, size: number, type = ''): FileSource {
  return { name, size, type, stream: () => createReadStream(path) }
}

/** A folder that files can be written to; made when it is not there. */
export async function openFolder(path: string): Promise<string> {
  const complain = (why: string) =>
    new CliError('ERR_CLI_FILE', EXIT.usage, `Cannot receive into ${path}: ${why}.`, 'Name a folder you may write to.')
  await mkdir(path, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw complain(error.code ?? error.message)
  })
  if (!(await stat(path)).isDirectory()) throw complain('it is no folder')
  return path
}

export interface SavedFile {
  readonly path: string
  readonly sha256: string
}

/**
 * Accepts `incoming` and writes it into `folder` under its own name, or that name with a number when it is taken. The
 * file is there only when it is complete and its checksum right.
 * @throws ExchangeError, or the system's error when it cannot be written
 */
export async function save(
  incoming: IncomingFile,
  folder: string,
  onprogress: (received: number) => void = () => {},
): Promise<SavedFile> {
  const { path, file } = await createNew(folder, safeName(incoming.name)).catch((error) => {
    incoming.reject('the receiver cannot write the file')
    throw error
  })
  try {
    incoming.accept()
    let received = 0
    for await (const chunk of incoming.chunks) {
      await file.writeFile(chunk)
      onprogress((received += chunk.length))
    }
    const sha256 = await incoming.sha256
    await file.close()
    return { path, sha256 }
  } catch (error) {
    await file.close().catch(() => {})
    await unlink(path).catch(() => {})
    throw error
  }
}

/** Longest file name that ext4, APFS and NTFS take, in bytes of UTF-8, less what a number needs. */
const LONGEST_NAME = 255 - ' (999)'.length

/**
 * A name from a stranger as one that stays in its folder, shows itself (no leading dot: not .bashrc) and fits the file
 * system.
 */
export function safeName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? ''
  const shown = last.replace(/[\p{Cc}\p{Cf}<>:"|?*]/gu, '_').replace(/^[.\s]+|[.\s]+$/g, '')
  const { name: stem, ext } = parse(shown === '' ? 'file' : shown)
  let kept = [...stem]
  const tail = Buffer.byteLength(ext) > LONGEST_NAME / 2 ? '' : ext
  while (Buffer.byteLength(kept.join('') + tail) > LONGEST_NAME) kept = kept.slice(0, -1)
  return kept.join('') + tail
}

/** `wx`: creates, never opens what is there already, follows no symbolic link. */
async function createNew(folder: string, name: string): Promise<{ path: string; file: FileHandle }> {
  const { name: stem, ext } = parse(name)
  for (let number = 0; number < 1000; number++) {
    const path = join(folder, number === 0 ? name : `${stem} (${number})${ext}`)
    try {
      return { path, file: await open(path, 'wx') }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  throw new CliError('ERR_CLI_FILE', EXIT.transfer, `${folder} has 1000 files named ${name}.`, 'Clear it up.')
}

import { announce } from './element.ts'

/** Makes a button copy `text()`, and say so. */
export function copyOnClick(button: HTMLButtonElement, text: () => string): void {
  const label = button.textContent ?? ''
  let timer: ReturnType<typeof setTimeout> | undefined
  button.addEventListener('click', async () => {
    const copied = await copy(text())
    button.textContent = copied ? 'Copied' : 'Could not copy'
    announce(button.textContent)
    clearTimeout(timer)
    timer = setTimeout(() => {
      button.textContent = label
    }, 2000)
  })
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

/** Pages that come by plain HTTP from another machine have no clipboard API: phones that try the demo at home. */
function copyBySelection(text: string): boolean {
  const focused = document.activeElement
  const area = document.createElement('textarea')
  area.className = 'visually-hidden'
  area.value = text
  document.body.append(area)
  area.select()
  const copied = document.execCommand('copy')
  area.remove()
  if (focused instanceof HTMLElement) focused.focus()
  return copied
}

/** The element that index.html has under this id. */
export function byId<E extends Element = HTMLElement>(id: string): E {
  const found = document.getElementById(id)
  if (!found) throw new Error(`index.html has no element #${id}`)
  return found as unknown as E
}

/** A new element; `className` and text first, since nearly every one has them. */
export function create<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...children)
  return element
}

export function button(label: string, onclick: () => void, className = 'button'): HTMLButtonElement {
  const element = create('button', className, label)
  element.type = 'button'
  element.addEventListener('click', onclick)
  return element
}

/** Writes only what differs, so that selections survive and screen readers hear changes only. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** Says something to those who do not see the page, once whatever is being read is over. */
export function announce(text: string): void {
  setText(byId('announcer'), text)
}

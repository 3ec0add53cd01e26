import { parseXml, type XmlElement, XmlText } from '@rgrove/parse-xml'

/** Longest document that is parsed, in characters: real ones of home routers have 3,000 to 30,000. */
export const MAX_DOCUMENT = 128 * 1024
/** Elements of a document that are looked at. */
const MAX_ELEMENTS = 2_000

/** All elements of a document in their order; none when it is not well-formed XML, or too large. Never throws. */
export function parseElements(text: string): readonly XmlElement[] {
  const start = text.indexOf('<')
  // Routers put zero bytes and line ends around their documents.
  const document = text.slice(start, text.lastIndexOf('>') + 1)
  if (start < 0 || document.length > MAX_DOCUMENT) return []
  let root: XmlElement | null
  try {
    // Entities of a DTD are not expanded, so that a small document stays small.
    root = parseXml(document, { ignoreUndefinedEntities: true }).root
  } catch {
    return [] // Not well-formed, or nested deeper than the stack is.
  }
  return root === null ? [] : flatten(root)
}

/** The name without its namespace prefix, which everybody chooses differently and some forget to declare. */
export function localName({ name }: XmlElement): string {
  return name.slice(name.indexOf(':') + 1)
}

/** The text directly in an element, without surrounding white space. */
export function textOf({ children }: XmlElement): string {
  let text = ''
  for (const child of children) if (child instanceof XmlText) text += child.text
  return text.trim()
}

/** Text of the first child element of that name. */
export function childText(element: XmlElement, name: string): string | undefined {
  const child = childElements(element).find((each) => localName(each) === name)
  return child && textOf(child)
}

export function childElements({ children }: XmlElement): XmlElement[] {
  return children.filter((child): child is XmlElement => child.type === 'element')
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** A loop and not a recursion: the document decides how deep it is. */
function flatten(root: XmlElement): XmlElement[] {
  const found: XmlElement[] = []
  const waiting = [root]
  for (let next = waiting.pop(); next && found.length < MAX_ELEMENTS; next = waiting.pop()) {
    found.push(next)
    waiting.push(...childElements(next).reverse())
  }
  return found
}

/** Bundles that come without types; the packages have them under another name. */
declare module 'simple-peer/simplepeer.min.js' {
  const Peer: unknown
  export default Peer
}

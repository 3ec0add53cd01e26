/**
 * `import '@floe/webrtc/polyfill'` where WebRTC is built in: there is nothing to do.
 * @module
 */
export {}

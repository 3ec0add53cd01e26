import { RTCPeerConnection } from '@floe/webrtc'
import { browserSuite } from './suite.ts'

browserSuite('chromium', RTCPeerConnection)

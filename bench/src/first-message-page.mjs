/** What Chromium runs. */
import { firstMessage } from './first-message-round.mjs'

window.firstMessage = firstMessage

// @ts-check
// What clients did and saw, as they know it: nothing in here comes from the program's own mouth but its answers.
//
// Every instant is of the clients' clock, in milliseconds. What the program decided, it decided between `sent` and `received`;
// where no answer came, between `sent` and the instant the connection was gone.

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {number} idleMs
 * @property {number} absoluteMs
 * @property {number} sent when its start was asked for
 * @property {number} received when that was answered: it is on record
 *
 * @typedef {object} Request something that asks to pass: a request through the gateway, a check, a frame of a WebSocket
 * @property {string} name unique, and known to the application if it got there
 * @property {string} session
 * @property {boolean} active whether it counts as activity
 * @property {number} sent
 * @property {number} received when its answer was there, or the connection gone
 * @property {boolean} passed whether it was let through: answered by the application, or seen there
 * @property {boolean} refused whether it was refused; one without an answer may have gone either way
 *
 * @typedef {object} Told an end that somebody was told of: by a refusal, by a close frame, by the answer to an order
 * @property {string} session
 * @property {string} reason
 * @property {number} [endedAt] the instant that was told along with it, by the program's clock
 * @property {number} received
 *
 * @typedef {object} Order somebody asked for an end
 * @property {string} session
 * @property {number} sent
 * @property {number} received
 * @property {boolean} acknowledged
 *
 * @typedef {object} Kill
 * @property {number} from the signal was sent after this
 * @property {number} to and the process was gone by this
 */

/** Everything that happened, and who to tell of it. */
export class History {
  /** @type {Session[]} */ sessions = [];
  /** @type {Request[]} */ requests = [];
  /** @type {Told[]} */ told = [];
  /** @type {Order[]} */ orders = [];
  /** @type {Kill[]} */ kills = [];
}

// Made by `python manage.py protocol` from dashboard/protocol.py; do not edit.

export const VERSION = 1;
export const SUBPROTOCOLS = Object.freeze(["pulseboard.v1", "pulseboard.v1.json"]);
export const BINARY_FORMAT = 1;
export const BINARY_HEADER_BYTES = 40;
export const HEARTBEAT_MS = 2000;
export const CLOSE = Object.freeze({ NORMAL: 1000, GOING_AWAY: 1001, PROTOCOL: 1002, UNSUPPORTED: 1003, NOT_UTF8: 1007, POLICY: 1008, TOO_BIG: 1009, INTERNAL: 1011, RESTART: 1012, BAD_MESSAGE: 4400, UNAUTHENTICATED: 4401, FORBIDDEN: 4403, NOT_FOUND: 4404, SLOW: 4408, NO_PONG: 4410, RESYNC: 4413, RATE_LIMITED: 4429 });
export const CLOSE_MEANING = Object.freeze({
  1000: "The page was left.",
  1001: "The server or the page is going away.",
  1002: "A frame broke RFC 6455.",
  1003: "A kind of frame that is not taken here: send text frames.",
  1007: "A text frame was not valid UTF-8.",
  1008: "A limit was passed again and again.",
  1009: "A message was larger than 64 KiB, or in too many fragments.",
  1011: "A mistake of ours; it is in the server's log. Come back.",
  1012: "The server restarts. Come back, at a moment of your own.",
  4400: "A message could not be understood.",
  4401: "Not signed in, or no longer. Sign in before you come back.",
  4403: "Not allowed: a foreign origin, an unknown subprotocol, a missing right.",
  4404: "There is no socket at this path.",
  4408: "The reader was too slow for too long. Come back.",
  4410: "No answer to pings. Come back.",
  4413: "The stream has to begin anew. Come back without a cursor.",
  4429: "Too much, too fast. Come back after the wait in the reason.",
});
export const TERMINAL = Object.freeze([4401, 4403, 4404]);
export const CLIENT_TYPES = Object.freeze(["hello", "watch", "watch_events", "watch_metrics", "watch_presence", "unwatch", "ack", "annotate"]);
export const SERVER_TYPES = Object.freeze(["welcome", "snapshot", "update", "events", "metrics", "presence", "stored", "heartbeat", "error", "bye"]);

/**
 * What one socket may ask for: bytes a message, watches, points a series, series a watch.
 * @typedef {object} Limits
 * @property {number} message_bytes
 * @property {number} watches
 * @property {number} points
 * @property {number} series
 */

/**
 * What identifies one series of an answer.
 * @typedef {object} Line
 * @property {Object<string, string>} labels
 */

/**
 * One event; `time` in ms since 1970.
 * @typedef {object} EventItem
 * @property {number} id
 * @property {number} time
 * @property {string} title
 * @property {string} text
 * @property {Object<string, string>} labels
 */

/**
 * One metric: its newest sample and the labels of the series that has it. `spark` (first frame only): its values at about the last 60 s, null where there was none.
 * @typedef {object} MetricItem
 * @property {string} name
 * @property {string} kind
 * @property {string} unit
 * @property {string} help
 * @property {number} series
 * @property {Object<string, string>} labels
 * @property {number|null} time
 * @property {number|null} value
 * @property {Array<number|null>|null} [spark]
 */

/**
 * Somebody on a dashboard, however many tabs they have; `away`: none is looked at.
 * @typedef {object} Person
 * @property {string} name
 * @property {"person"|"token"} kind
 * @property {boolean} [away]
 */

/**
 * Says who is there, by a token with scope `read`; only without a session, within 5 s.
 * @typedef {object} HelloFrame
 * @property {"hello"} type
 * @property {string} token
 */

/**
 * Watches a PromQL expression: answered by a snapshot, then by updates. `id` is the client's own, unique on its socket. `step_ms` is the distance of points. With `end_ms` the range ends there and no updates follow. `cursor` is that of the last frame before a reconnect: the answer is then what was missed, or a new snapshot.
 * @typedef {object} WatchFrame
 * @property {"watch"} type
 * @property {number} id
 * @property {string} expr
 * @property {number} range_ms
 * @property {number} step_ms
 * @property {number|null} [end_ms]
 * @property {string|null} [cursor]
 */

/**
 * Watches events: the newest `limit`, then each new one.
 * @typedef {object} WatchEventsFrame
 * @property {"watch_events"} type
 * @property {number} id
 * @property {number} [limit]
 * @property {string|null} [cursor]
 */

/**
 * Watches the list of all metrics with their last values.
 * @typedef {object} WatchMetricsFrame
 * @property {"watch_metrics"} type
 * @property {number} id
 * @property {string|null} [cursor]
 */

/**
 * Is on a dashboard, named as in its address, and watches who else is. `away`: nobody looks at it; to change that, unwatch and watch again, of which nobody is told if it takes less than 3 s.
 * @typedef {object} WatchPresenceFrame
 * @property {"watch_presence"} type
 * @property {number} id
 * @property {string} board
 * @property {boolean} [away]
 * @property {string|null} [cursor]
 */

/**
 * Ends a watch; frames already on their way may still arrive.
 * @typedef {object} UnwatchFrame
 * @property {"unwatch"} type
 * @property {number} id
 */

/**
 * Says that `frames` messages of the server were received on this socket so far, of all kinds. Only when `welcome.ack_ms` is more than 0: then at most once in that time, and only when the number has changed. The server sends at most 256 KiB (or one message, if that is larger) that were not acknowledged.
 * @typedef {object} AckFrame
 * @property {"ack"} type
 * @property {number} frames
 */

/**
 * Stores an event that a person puts on the charts; answered by `stored`, or an `error`. Only people with the right `metrics.add_event` may, which is looked up each time. `ref` is the client's own and unique, such as a UUID: the same person's same `ref` again, after a break, is stored once. `time` may be left out: now. The label `author` is the server's to set.
 * @typedef {object} AnnotateFrame
 * @property {"annotate"} type
 * @property {string} ref
 * @property {string} title
 * @property {string} [text]
 * @property {number|null} [time]
 * @property {Object<string, string>} [labels]
 */

/**
 * First frame of the server. `server_ms` is its clock, in ms since 1970. `ack_ms`: how often the client has to say `ack`; absent: never.
 * @typedef {object} WelcomeFrame
 * @property {"welcome"} type
 * @property {number} version
 * @property {number} server_ms
 * @property {number} tick_ms
 * @property {number} heartbeat_ms
 * @property {Limits} limits
 * @property {number} [ack_ms]
 */

/**
 * The whole picture of a watch; replaces what the client had. `values` has a row for each of `series` and a column for each of `times` (ms since 1970, multiples of `step_ms`); null where there is no value. `low` and `high` are the least and the greatest since the step before, or the value where that is not known; absent: all are values. `conflated`: it comes instead of updates that the client was too slow to read.
 * @typedef {object} SnapshotFrame
 * @property {"snapshot"} type
 * @property {number} id
 * @property {Array<Line>} series
 * @property {Array<number>} times
 * @property {Array<Array<number|null>>} values
 * @property {number} step_ms
 * @property {string} cursor
 * @property {Array<Array<number|null>>|null} [low]
 * @property {Array<Array<number|null>>|null} [high]
 * @property {boolean} [conflated]
 */

/**
 * What changed since: columns to add, or to put in place of those with the same time. `series` are added after those already known; `values`, `low` and `high` have a row for each series then known. `conflated`: several updates in one, since the client was slow to read.
 * @typedef {object} UpdateFrame
 * @property {"update"} type
 * @property {number} id
 * @property {Array<number>} times
 * @property {Array<Array<number|null>>} values
 * @property {string} cursor
 * @property {Array<Line>} [series]
 * @property {Array<Array<number|null>>|null} [low]
 * @property {Array<Array<number|null>>|null} [high]
 * @property {boolean} [conflated]
 */

/**
 * Events, oldest first; the first frame of a watch holds the newest `limit`.
 * @typedef {object} EventsFrame
 * @property {"events"} type
 * @property {number} id
 * @property {Array<EventItem>} events
 * @property {string} cursor
 */

/**
 * Metrics by name; the first frame holds all, later ones those that changed.
 * @typedef {object} MetricsFrame
 * @property {"metrics"} type
 * @property {number} id
 * @property {Array<MetricItem>} metrics
 * @property {string} cursor
 */

/**
 * Everybody on a dashboard: at most 50 by name, `others` more. Replaces what was there.
 * @typedef {object} PresenceFrame
 * @property {"presence"} type
 * @property {number} id
 * @property {Array<Person>} people
 * @property {number} others
 * @property {string} cursor
 */

/**
 * The annotation `ref` is on the disk. `replayed`: it was before, and was not stored again.
 * @typedef {object} StoredFrame
 * @property {"stored"} type
 * @property {string} ref
 * @property {boolean} [replayed]
 */

/**
 * Sent every `heartbeat_ms`: the connection lives, and this is the server's clock.
 * @typedef {object} HeartbeatFrame
 * @property {"heartbeat"} type
 * @property {number} server_ms
 */

/**
 * Something was refused: with `id`, that watch (`forbidden` also ends one later, when its right goes); with `ref`, that annotation; without, the message just sent. With the code `rate_limited` or `internal` it may be sent again as it is.
 * @typedef {object} ErrorFrame
 * @property {"error"} type
 * @property {"bad_expression"|"bad_message"|"forbidden"|"internal"|"rate_limited"|"too_many_points"|"too_many_series"|"too_many_watches"} code
 * @property {string} message
 * @property {number|null} [id]
 * @property {string|null} [ref]
 */

/**
 * The socket closes now, with `code`. Come back after a random wait within `retry_ms`.
 * @typedef {object} ByeFrame
 * @property {"bye"} type
 * @property {number} code
 * @property {string} reason
 * @property {[number, number]} retry_ms
 */

/** @typedef {HelloFrame | WatchFrame | WatchEventsFrame | WatchMetricsFrame | WatchPresenceFrame | UnwatchFrame | AckFrame | AnnotateFrame} ClientFrame */
/** @typedef {WelcomeFrame | SnapshotFrame | UpdateFrame | EventsFrame | MetricsFrame | PresenceFrame | StoredFrame | HeartbeatFrame | ErrorFrame | ByeFrame} ServerFrame */

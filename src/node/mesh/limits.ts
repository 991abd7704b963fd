/**
 * Every size, count and time of the mesh, in one table. Nothing in the mesh grows or waits without one of these.
 */
export const mesh_limits = {
  /** Largest frame on the raft and rpc streams. Snapshot chunks are at most 1 MiB; the rest is headroom. */
  max_frame_bytes: 4 * 1024 * 1024,
  /** Unsent raft frames per peer; beyond it the oldest go (Raft repeats what matters, and newer is worth more). */
  raft_queue_bytes: 8 * 1024 * 1024,
  /** Unsent rpc requests and notes per peer; beyond it calls fail with `busy` and notes are dropped. */
  rpc_queue_bytes: 8 * 1024 * 1024,
  /** Unsent rpc frames of any kind; a peer that lets answers pile up this high is not reading: it is cut off. */
  rpc_hard_queue_bytes: 32 * 1024 * 1024,
  /** Frames are joined into writes of about this size. */
  write_batch_bytes: 256 * 1024,
  /** Calls in flight per peer and direction. */
  max_calls: 1000,
  /** Longest timeout a call may ask for: one day, the longest a storage step is given. */
  max_call_timeout_ms: 86_400_000,
  /** One attempt to connect: TCP, handshake, both streams. Two lost SYNs (1 s + 2 s) would not fit, one does. */
  dial_timeout_ms: 2500,
  /** An attempt of that age that has not connected is given up when the peer shows that it is there. */
  young_dial_ms: 500,
  redial_min_ms: 50,
  redial_max_ms: 2000,
  /** A link that was up this long starts again with the shortest redial delay. */
  stable_ms: 1000,
  /** The side that does not dial asks for a dial after about this long without a link. */
  knock_delay_ms: 200,
  knock_hold_ms: 1000,
  /** An inbound connection of a member that has not opened its streams and said hello by then is closed. */
  hello_timeout_ms: 5000,
  tick_ms: 1000,
  /** Nothing heard this long: ask. */
  ping_after_ms: 2000,
  /** Nothing heard this long, or nothing of raft's taken: the connection is torn down and dialled again. */
  silence_ms: 6000,
  /** Connections of peers that are no members (joiners), at a time and how long each. */
  max_visitors: 32,
  visitor_ms: 15_000,
  join_frame_bytes: 64 * 1024,
  join_max_active: 4,
  join_timeout_ms: 10_000,
  join_attempts: 10,
  join_window_ms: 60_000,
  join_max_addresses: 1024,
  /** Console streams per connection and direction. */
  max_byte_streams: 256,
  byte_stream_hello_bytes: 64 * 1024,
  byte_stream_hello_ms: 5000,
  /** Bytes a console may have unsent; a user of the stream should stop its source long before (see `onDrain`). */
  byte_stream_queue_bytes: 4 * 1024 * 1024,
  /** A console write is split into frames of this size. */
  byte_stream_frame_bytes: 64 * 1024,
  /** How long a closing stream may take to send what is queued. */
  linger_ms: 5000,
  max_peers: 1000,
  max_addresses: 16,
} as const;

/** Protocol names as negotiated; the number is the version of the framing. */
export const raft_protocol = '/skein/raft/1';
export const rpc_protocol = '/skein/rpc/1';
export const stream_protocol = '/skein/stream/1';
export const join_protocol = '/skein/join/1';
export type MeshProtocol =
  | typeof raft_protocol
  | typeof rpc_protocol
  | typeof stream_protocol
  | typeof join_protocol;

/** Version of what is said inside the protocols; sent in the first rpc frame. */
export const mesh_version = 1;

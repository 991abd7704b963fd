/**
 * Fewer and larger writes to a socket, where the libraries would make many small ones. Each write costs a system call
 * here and wakes a process there, which for small frames is most of what they cost.
 *
 * It never changes, drops or reorders a byte of a connection that lives, and what carries payload never waits.
 */
import type { MeshEnv } from './carrier.ts';

/** What is needed of libp2p's connection. */
export interface JoinableConnection {
  readonly status: string;
  send(data: Uint8Array | { subarray(): Uint8Array }): boolean;
}

/**
 * A muxer's frame without payload, encrypted, is not longer (yamux: 12 bytes, Noise adds 18); one with payload is, and so is
 * whatever Noise says while it shakes hands.
 */
const control_bytes = 32;
/**
 * So long it waits for company. The muxer acknowledges each frame by a window update of its own, and before the window
 * is used up there are more of them than wait here.
 */
const hold_ms = 2;
const max_held = 2;

/**
 * Makes `connection` join its writes: what is given to it in pieces, such as Noise's length and body, leaves in one; and what
 * carries no payload waits up to 2 ms to leave with something that does.
 */
export function joinWrites<T extends JoinableConnection>(connection: T, env: Pick<MeshEnv, 'after'>): T {
  const send = connection.send.bind(connection);
  let held: Uint8Array[] = [];
  let cancel: () => void = () => undefined;
  const take = (last: readonly Uint8Array[]): Uint8Array => {
    const all = [...held, ...last];
    held = [];
    cancel();
    return all.length === 1 ? all[0]! : joined(all);
  };
  connection.send = (data) => {
    const bytes = data instanceof Uint8Array ? data : data.subarray();
    if (bytes.byteLength > control_bytes || held.length >= max_held) return send(take([bytes]));
    held.push(bytes);
    if (held.length === 1) {
      cancel = env.after(hold_ms, () => {
        // Of a connection that is closing nobody reads it any more.
        if (connection.status === 'open') send(take([]));
      });
    }
    return true;
  };
  return connection;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

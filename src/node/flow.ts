/**
 * Byte streams with flow control from end to end: a reader that pauses holds the writer back, so that neither waits in
 * this agent's memory. A stream without flow control (a test's) is served as fast as it writes.
 */
import type { ByteStream } from './mesh-types.ts';

/**
 * What a stream may offer besides {@link ByteStream}; the mesh's and the host's own consoles do. Theirs `write` answers
 * false when the bytes were taken, but the writer should stop until `onDrain`.
 */
export interface FlowStream extends ByteStream {
  onDrain?(handler: () => void): void;
  pause?(): void;
  resume?(): void;
}

function flow(from: FlowStream, to: FlowStream): void {
  from.onData((bytes) => {
    const more: unknown = to.write(bytes);
    if (more === false) from.pause?.();
  });
  to.onDrain?.(() => from.resume?.());
}

/** Joins two streams until either ends. */
export function pipeStreams(a: FlowStream, b: FlowStream): void {
  a.onClose(() => b.close());
  b.onClose(() => a.close());
  flow(a, b);
  flow(b, a);
}

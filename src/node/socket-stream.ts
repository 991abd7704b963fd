/**
 * A connected socket as a byte stream with flow control. A writer that goes on although it was told to stop loses the
 * socket, not the agent its memory.
 */
import type { Socket } from 'node:net';
import type { FlowStream } from './flow.ts';

export function socketStream(
  socket: Socket,
  max_unread_bytes: number,
): Required<FlowStream> & { write(bytes: Uint8Array): boolean } {
  return {
    write(bytes) {
      if (socket.destroyed || socket.writableEnded) return true;
      const more = socket.write(bytes);
      if (socket.writableLength > max_unread_bytes) socket.destroy();
      return more;
    },
    onData: (handler) => void socket.on('data', handler),
    onDrain: (handler) => void socket.on('drain', handler),
    onClose(handler) {
      if (socket.closed) queueMicrotask(handler);
      else socket.on('close', handler);
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => socket.destroy(),
  };
}

/**
 * The frames of `/skein/rpc/1`: arrays, the kind first. Parsing checks every field; what does not parse is the
 * peer's breach of protocol and ends its connection.
 */
import type { ClusterGeneration } from '../mesh-types.ts';
import { decodeWire, encodeWire, errorText } from './wire.ts';

export type RpcFrame =
  | {
      readonly kind: 'hello';
      readonly version: number;
      readonly generation: number;
      readonly cluster: ClusterGeneration;
    }
  | { readonly kind: 'request'; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly result: unknown }
  | {
      readonly kind: 'error';
      readonly id: number;
      readonly code: string;
      readonly message: string;
      readonly data: unknown;
    }
  | { readonly kind: 'note'; readonly id: number; readonly note: unknown }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'ping'; readonly nonce: number }
  | { readonly kind: 'pong'; readonly nonce: number };

export class RpcFrameError extends Error {
  override readonly name = 'RpcFrameError';
}

/** Of a cluster that was never recovered. */
export const first_generation: ClusterGeneration = { generation: 1, recovered_s: 0, recovered_by: '' };

const tag = { hello: 0, request: 1, answer: 2, error: 3, note: 4, cancel: 5, ping: 6, pong: 7 } as const;

export function encodeRpcFrame(frame: RpcFrame): Uint8Array {
  switch (frame.kind) {
    case 'hello':
      return encodeWire([
        tag.hello,
        frame.version,
        frame.generation,
        frame.cluster.generation,
        frame.cluster.recovered_s,
        frame.cluster.recovered_by,
      ]);
    case 'request':
      return encodeWire([tag.request, frame.id, frame.method, frame.params]);
    case 'answer':
      return encodeWire([tag.answer, frame.id, frame.result]);
    case 'error':
      return encodeWire([tag.error, frame.id, frame.code, frame.message, frame.data]);
    case 'note':
      return encodeWire([tag.note, frame.id, frame.note]);
    case 'cancel':
      return encodeWire([tag.cancel, frame.id]);
    case 'ping':
      return encodeWire([tag.ping, frame.nonce]);
    case 'pong':
      return encodeWire([tag.pong, frame.nonce]);
  }
}

/** Throws {@link RpcFrameError}. Extra elements at the end are ignored, for later versions. */
export function decodeRpcFrame(bytes: Uint8Array): RpcFrame {
  let value: unknown;
  try {
    value = decodeWire(bytes);
  } catch (error) {
    throw new RpcFrameError(`rpc frame of ${bytes.byteLength} bytes is not msgpack: ${errorText(error)}`);
  }
  if (!Array.isArray(value)) throw new RpcFrameError(`rpc frame is a ${typeof value}, expected an array`);
  const at: readonly unknown[] = value;
  switch (at[0]) {
    case tag.hello:
      return { kind: 'hello', version: number(at, 1), generation: number(at, 2), cluster: clusterIn(at) };
    case tag.request:
      return { kind: 'request', id: number(at, 1), method: text(at, 2), params: at[3] };
    case tag.answer:
      return { kind: 'answer', id: number(at, 1), result: at[2] };
    case tag.error:
      return { kind: 'error', id: number(at, 1), code: text(at, 2), message: text(at, 3), data: at[4] };
    case tag.note:
      return { kind: 'note', id: number(at, 1), note: at[2] };
    case tag.cancel:
      return { kind: 'cancel', id: number(at, 1) };
    case tag.ping:
      return { kind: 'ping', nonce: number(at, 1) };
    case tag.pong:
      return { kind: 'pong', nonce: number(at, 1) };
    default:
      throw new RpcFrameError(`rpc frame of unknown kind ${String(at[0])}`);
  }
}

/** Who says nothing is of the first generation. */
function clusterIn(at: readonly unknown[]): ClusterGeneration {
  if (at.length <= 3) return first_generation;
  return { generation: number(at, 3), recovered_s: number(at, 4), recovered_by: text(at, 5).slice(0, 255) };
}

function number(at: readonly unknown[], index: number): number {
  const value = at[index];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new RpcFrameError(
    `rpc frame kind ${String(at[0])}: element ${index} is ${String(value)}, expected a number`,
  );
}

function text(at: readonly unknown[], index: number): string {
  const value = at[index];
  if (typeof value === 'string') return value;
  throw new RpcFrameError(
    `rpc frame kind ${String(at[0])}: element ${index} is ${typeof value}, expected a string`,
  );
}

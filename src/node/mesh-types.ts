/**
 * The mesh as the agent sees it: authenticated connections between members, one long-lived stream per pair and
 * purpose, and a request/answer layer. Implemented over libp2p, and in memory for sim/ and tests.
 */
import type { Transport } from '../consensus/types.ts';

export interface MeshPeer {
  readonly member: number;
  readonly peer_id: string;
  readonly addresses: readonly string[];
}

/** Which life of its cluster a host is a member of: `cluster recover` begins a new one (docs/recover.md). */
export interface ClusterGeneration {
  readonly generation: number;
  /** When and on which node this generation began, in whole Unix seconds; 0 and '': with the founding, or not known here. */
  readonly recovered_s: number;
  readonly recovered_by: string;
}

/** What a mesh says of its cluster in every greeting, and whom it tells of a peer that says something else. */
export interface MeshCluster {
  own(): ClusterGeneration;
  /** `member` greeted from another generation: nothing else passes between the two. */
  other(member: number, theirs: ClusterGeneration): void;
}

export interface Mesh {
  readonly peer_id: string;
  /** Multiaddrs it listens on, without the peer id. */
  readonly addresses: readonly string[];
  /** Raft's own stream. */
  readonly raft: Transport;
  /** Only these are let in. Connections to others are closed. Called at start and whenever the nodes change. */
  setPeers(peers: readonly MeshPeer[]): void;
  isUp(member: number): boolean;
  onPeer(handler: (member: number, up: boolean) => void): () => void;
  /**
   * Calls `method` on a member (itself too, without the network). Rejects with {@link RpcError}. `onNote` gets what the
   * handler sends before its answer. Every call has a timeout; notes extend nothing.
   */
  call(
    member: number,
    method: string,
    params: unknown,
    options: {
      readonly timeout_ms: number;
      readonly onNote?: (note: unknown) => void;
      readonly signal?: AbortSignal;
    },
  ): Promise<unknown>;
  /** One handler a method. A thrown error with a `code` arrives with that code. */
  handle(method: string, handler: RpcHandler): void;
  /** A raw duplex byte stream to `purpose` on a member (console). */
  openStream(member: number, purpose: string, hello: unknown, timeout_ms: number): Promise<ByteStream>;
  handleStream(purpose: string, handler: (from: number, hello: unknown, stream: ByteStream) => void): void;
  /** Serves joiners that are no members: only this one method, only while the predicate says so, at most a few at a time. */
  serveJoin(open: () => boolean, handler: (peer_id: string, request: unknown) => Promise<unknown>): void;
  /** The joiner's side: connects to an address expecting exactly that peer id. */
  requestJoin(
    addresses: readonly string[],
    peer_id: string,
    request: unknown,
    timeout_ms: number,
  ): Promise<unknown>;
  close(): Promise<void>;
}

export type RpcHandler = (
  from: number,
  params: unknown,
  ctx: { readonly note: (note: unknown) => void; readonly signal: AbortSignal },
) => Promise<unknown>;

export interface ByteStream {
  write(bytes: Uint8Array): void;
  onData(handler: (bytes: Uint8Array) => void): void;
  onClose(handler: () => void): void;
  close(): void;
}

export class RpcError extends Error {
  /** `unreachable`: it was not sent. `broken`: the connection ended before the answer, the outcome is unknown. `timeout`: likewise. Others come from the handler. */
  readonly code: string;
  readonly data: unknown;
  constructor(code: string, message: string, data: unknown = null) {
    super(message);
    this.name = 'RpcError';
    this.code = code;
    this.data = data;
  }
}

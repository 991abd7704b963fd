/**
 * What the mesh needs from below: authenticated connections that carry ordered byte streams. libp2p is one carrier,
 * the simulated network another; everything above (framing, calls, pings, redialling) is the same code for both.
 * A carrier proves who the remote peer is; it decides nothing about who may do what.
 */
import type { ReplicaEnv } from '../../consensus/types.ts';
import type { MeshProtocol } from './limits.ts';

/** Time, chance and the log, as handed to the replica. */
export type MeshEnv = Pick<ReplicaEnv, 'now_ms' | 'after' | 'random' | 'log'>;

/**
 * An ordered, reliable, flow-controlled byte stream. Each handler is set once; data and the close that came before are
 * kept for it and delivered soon after.
 */
export interface CarrierStream {
  /** Whether more may be sent now; when false, wait for `onDrain`. */
  readonly writable: boolean;
  /** Takes the bytes over (they must not be changed afterwards). Never throws; a dead stream drops them. */
  send(bytes: Uint8Array): void;
  onData(handler: (chunk: Uint8Array) => void): void;
  onDrain(handler: () => void): void;
  /** Called once, when the remote has ended its side, or the stream or its connection is gone. */
  onClose(handler: () => void): void;
  /** Stops and restarts delivery; the sender is held back once the window is full. */
  pause(): void;
  resume(): void;
  /** Ends it after what was sent has left. */
  close(): void;
  abort(reason: string): void;
}

export interface CarrierConnection {
  readonly peer_id: string;
  /** Multiaddr of the remote end. */
  readonly remote_address: string;
  readonly open: boolean;
  /** Rejects when the remote refuses the protocol, the connection dies or the signal fires. */
  openStream(protocol: MeshProtocol, signal: AbortSignal): Promise<CarrierStream>;
  /** Any number of handlers; each is called once, soon if it is closed already. */
  onClose(handler: (reason: string) => void): void;
  abort(reason: string): void;
}

/** What the carrier asks of, and reports to, the mesh above it. */
export interface CarrierEvents {
  /** After the handshake proved the peer id: may it stay? */
  admit(peer_id: string): boolean;
  inbound(connection: CarrierConnection): void;
  stream(connection: CarrierConnection, protocol: MeshProtocol, stream: CarrierStream): void;
}

export interface Carrier {
  readonly peer_id: string;
  readonly addresses: readonly string[];
  /** Always a new connection. Rejects with {@link DialError}. */
  dial(peer_id: string, address: string, signal: AbortSignal): Promise<CarrierConnection>;
  /** Ends every connection with a peer, tracked by the mesh or not. */
  disconnect(peer_id: string, reason: string): void;
  close(): Promise<void>;
}

/** `wrong-peer`: somebody else answered at the address. `refused`: the peer closed it after the handshake. */
export class DialError extends Error {
  readonly code: 'unreachable' | 'wrong-peer' | 'refused' | 'timeout';
  constructor(code: DialError['code'], message: string) {
    super(message);
    this.name = 'DialError';
    this.code = code;
  }
}

/**
 * The real carrier: libp2p over TCP with noise and yamux. Everything libp2p would decide by itself about keeping,
 * pruning, pinging or redialling connections is switched off here; the mesh above does it. The limits that remain
 * guard against strangers only.
 */

import type { Connection, ConnectionEncrypter, PrivateKey, Stream } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import {
  type Carrier,
  type CarrierConnection,
  type CarrierEvents,
  DialError,
  type MeshEnv,
} from './carrier.ts';
import { joinWrites } from './joined-writes.ts';
import { Libp2pConnection, Libp2pStream } from './libp2p-connection.ts';
import {
  join_protocol,
  type MeshProtocol,
  mesh_limits,
  raft_protocol,
  rpc_protocol,
  stream_protocol,
} from './limits.ts';
import { errorText } from './wire.ts';

/** Inbound streams of one protocol per connection; libp2p resets what is above without a word, so it must not be near. */
const max_inbound_streams: Readonly<Record<MeshProtocol, number>> = {
  [raft_protocol]: 4,
  [rpc_protocol]: 4,
  [stream_protocol]: mesh_limits.max_byte_streams,
  [join_protocol]: mesh_limits.join_max_active,
};

export interface Libp2pCarrierOptions {
  readonly private_key: PrivateKey;
  /** Multiaddrs such as `/ip4/192.0.2.1/tcp/1811`. */
  readonly listen: readonly string[];
  readonly env: MeshEnv;
}

/** Rejects when it cannot listen, naming the address. */
export async function createLibp2pCarrier(
  options: Libp2pCarrierOptions,
  events: CarrierEvents,
): Promise<Carrier> {
  const { env } = options;
  const node = await createLibp2p({
    privateKey: options.private_key,
    addresses: { listen: [...options.listen] },
    transports: [
      // No inactivity timeout: an idle link is the mesh's business.
      tcp({ inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0, backlog: 511 }),
    ],
    connectionEncrypters: [joiningWrites(noise(), env)],
    streamMuxers: [
      yamux({
        enableKeepAlive: false,
        maxInboundStreams: mesh_limits.max_byte_streams + 16,
        maxOutboundStreams: mesh_limits.max_byte_streams + 16,
        streamOptions: { maxWriteBufferLength: 16 * 1024 * 1024 },
      }),
    ],
    connectionMonitor: { enabled: false },
    connectionManager: {
      // Never prune: a mesh of 200 has 200 connections, and pruning takes the newest.
      maxConnections: 4000,
      // Per second and remote address; a rack that comes back, or a lab on one address, is no attack.
      inboundConnectionThreshold: 1000,
      maxIncomingPendingConnections: 256,
      inboundUpgradeTimeout: 5000,
      inboundStreamProtocolNegotiationTimeout: mesh_limits.dial_timeout_ms,
      outboundStreamProtocolNegotiationTimeout: mesh_limits.dial_timeout_ms,
      maxParallelDials: 400,
      maxDialQueueLength: 1000,
      dialTimeout: mesh_limits.dial_timeout_ms,
      addressDialTimeout: mesh_limits.dial_timeout_ms,
      // Its own redialling gives up after half a minute for ever; ours never does.
      reconnectRetries: 0,
    },
    connectionGater: {
      denyDialMultiaddr: () => false,
      denyInboundEncryptedConnection: (peer) => !events.admit(peer.toString()),
    },
  });
  return new Libp2pCarrier(node, env, events).begin();
}

/** Most of our frames are heartbeats of some forty bytes: joined, an idle leader makes a third of the system calls. */
function joiningWrites<C>(
  make: (components: C) => ConnectionEncrypter,
  env: MeshEnv,
): (components: C) => ConnectionEncrypter {
  return (components) => {
    const encrypter = make(components);
    return {
      protocol: encrypter.protocol,
      secureInbound: (connection, options) => encrypter.secureInbound(joinWrites(connection, env), options),
      secureOutbound: (connection, options) => encrypter.secureOutbound(joinWrites(connection, env), options),
    };
  };
}

class Libp2pCarrier implements Carrier {
  readonly peer_id: string;
  readonly addresses: readonly string[];
  readonly #node: Libp2p;
  readonly #env: MeshEnv;
  readonly #events: CarrierEvents;
  readonly #wrapped = new WeakMap<Connection, Libp2pConnection>();

  constructor(node: Libp2p, env: MeshEnv, events: CarrierEvents) {
    this.#node = node;
    this.#env = env;
    this.#events = events;
    this.peer_id = node.peerId.toString();
    this.addresses = node.getMultiaddrs().map((address) => address.toString().replace(/\/p2p\/[^/]+$/, ''));
  }

  async begin(): Promise<this> {
    this.#node.addEventListener('connection:open', (event) => this.#opened(event.detail));
    for (const protocol of [raft_protocol, rpc_protocol, stream_protocol, join_protocol] as const) {
      const handler = (stream: Stream, connection: Connection) => {
        this.#events.stream(this.#wrap(connection), protocol, new Libp2pStream(stream, this.#env));
      };
      const limits = {
        maxInboundStreams: max_inbound_streams[protocol],
        maxOutboundStreams: mesh_limits.max_byte_streams,
      };
      await this.#node.handle(protocol, handler, limits);
    }
    return this;
  }

  async dial(peer_id: string, address: string, signal: AbortSignal): Promise<CarrierConnection> {
    let connection: Connection;
    try {
      const target = multiaddr(address).encapsulate(`/p2p/${peer_id}`);
      // force: a connection that stands may be the one being replaced.
      connection = await this.#node.dial(target, { signal, force: true });
    } catch (error) {
      throw dialError(error, signal);
    }
    if (signal.aborted) {
      this.#wrap(connection).abort('the dial was given up');
      throw new DialError('timeout', 'gave up connecting');
    }
    const wrapped = this.#wrap(connection);
    wrapped.claimed = true;
    return wrapped;
  }

  disconnect(peer_id: string, reason: string): void {
    for (const connection of this.#node.getConnections()) {
      if (connection.remotePeer.toString() === peer_id) this.#wrap(connection).abort(reason);
    }
  }

  async close(): Promise<void> {
    for (const connection of this.#node.getConnections()) this.#wrap(connection).abort('the mesh is closed');
    await this.#node.stop();
  }

  #wrap(connection: Connection): Libp2pConnection {
    let wrapped = this.#wrapped.get(connection);
    if (wrapped === undefined) {
      wrapped = new Libp2pConnection(connection, this.#env);
      this.#wrapped.set(connection, wrapped);
    }
    return wrapped;
  }

  #opened(connection: Connection): void {
    const wrapped = this.#wrap(connection);
    if (connection.direction === 'inbound') {
      this.#events.inbound(wrapped);
      return;
    }
    // A dial given up in the very moment it succeeded leaves a connection that nobody owns.
    const cancel = this.#env.after(mesh_limits.dial_timeout_ms, () => {
      if (!wrapped.claimed) wrapped.abort('nobody waits for it');
    });
    wrapped.onClose(cancel);
  }
}

function dialError(error: unknown, signal: AbortSignal): DialError {
  const text = errorText(error);
  if (signal.aborted) return new DialError('timeout', 'no connection in time');
  if (/does not match expected remote identity/.test(text)) {
    return new DialError('wrong-peer', 'another peer than expected answers there');
  }
  if (/Remote closed connection during opening|ECONNRESET|UnexpectedEOF|closed before/.test(text)) {
    return new DialError('refused', `the peer closed the connection (${text})`);
  }
  return new DialError('unreachable', text);
}

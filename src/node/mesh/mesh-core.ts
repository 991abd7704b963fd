/**
 * The mesh over any carrier: who is let in, one link per member, the calls, streams and joiners on top. Guarantees:
 * whoever is not in the last `setPeers` reaches nothing but the join protocol, and that only while it is open; a
 * member is reported up only while both its streams are open, and down at once when either is gone.
 */
import type { Transport } from '../../consensus/types.ts';
import {
  type ByteStream,
  type Mesh,
  type MeshCluster,
  type MeshPeer,
  RpcError,
  type RpcHandler,
} from '../mesh-types.ts';
import { acceptByteStream, type ByteStreamHandler, greetByteStream } from './byte-stream.ts';
import type { Carrier, CarrierConnection, CarrierEvents, CarrierStream, MeshEnv } from './carrier.ts';
import { deadlineSignal } from './deadline.ts';
import { type JoinHandler, JoinService, requestJoin } from './join-service.ts';
import {
  join_protocol,
  type MeshProtocol,
  mesh_limits,
  raft_protocol,
  rpc_protocol,
  stream_protocol,
} from './limits.ts';
import { PeerLink } from './peer-link.ts';
import type { CallOptions } from './rpc-calls.ts';
import { first_generation } from './rpc-frame.ts';
import { loopbackSession, type RpcSession } from './rpc-session.ts';
import { errorText } from './wire.ts';

export interface MeshCoreOptions {
  readonly env: MeshEnv;
  /** Own member number; 0 while this host is in no cluster. An entry of `setPeers` with the own peer id replaces it. */
  readonly self_member: number;
  /** Rises with every life of this host's agent: of two connections from one peer the newer life's is kept. */
  readonly generation: number;
  /** Absent: of the first generation of its cluster, and silent about others. */
  readonly cluster?: MeshCluster;
}

const never_recovered: MeshCluster = { own: () => first_generation, other: () => undefined };

export class MeshCore implements Mesh, CarrierEvents {
  readonly raft: Transport;
  readonly #env: MeshEnv;
  readonly #generation: number;
  readonly #cluster: MeshCluster;
  readonly #handlers = new Map<string, RpcHandler>();
  readonly #stream_handlers = new Map<string, ByteStreamHandler>();
  readonly #links = new Map<number, PeerLink>();
  readonly #by_peer = new Map<string, PeerLink>();
  /** As they were last set. */
  #peers: readonly MeshPeer[] = [];
  readonly #visitors = new Set<CarrierConnection>();
  readonly #join: JoinService;
  readonly #local: RpcSession;
  readonly #peer_listeners = new Set<(member: number, up: boolean) => void>();
  readonly #raft_listeners: ((from: number, bytes: Uint8Array) => void)[] = [];
  #carrier_: Carrier | null = null;
  #self_member: number;
  #last_tick_ms: number;
  #cancelTick: () => void = () => undefined;
  #closed = false;

  constructor(options: MeshCoreOptions) {
    this.#env = options.env;
    this.#self_member = options.self_member;
    this.#generation = options.generation;
    this.#cluster = options.cluster ?? never_recovered;
    this.#join = new JoinService(options.env);
    this.#local = loopbackSession(options.env, () => this.#self_member, this.#handlers);
    this.#last_tick_ms = options.env.now_ms();
    this.raft = {
      send: (to, bytes) => this.#sendRaft(to, bytes),
      onMessage: (handler) => {
        this.#raft_listeners.push(handler);
      },
      onPeer: (handler) => {
        this.#peer_listeners.add(handler);
      },
    };
  }

  /** Gives it its carrier; before that it admits nobody. */
  start(carrier: Carrier): void {
    if (this.#carrier_ !== null) throw new Error('invariant: the mesh has a carrier already');
    this.#carrier_ = carrier;
    this.#scheduleTick();
  }

  get peer_id(): string {
    return this.#carrier.peer_id;
  }

  get addresses(): readonly string[] {
    return this.#carrier.addresses;
  }

  setPeers(peers: readonly MeshPeer[]): void {
    if (this.#closed || samePeers(peers, this.#peers)) return;
    const wanted = checkPeers(peers);
    const own = peers.find((peer) => peer.peer_id === this.#carrier.peer_id);
    if (own !== undefined) this.#self_member = own.member;
    wanted.delete(this.#self_member);
    this.#peers = peers;
    const wanted_ids = new Set(peers.map((peer) => peer.peer_id));
    for (const [member, link] of this.#links) {
      if (wanted.get(member)?.peer_id === link.peer_id) continue;
      this.#links.delete(member);
      this.#by_peer.delete(link.peer_id);
      link.close('no longer a member');
      // A peer that is let in anew is a member under another number from now on, and waits to be told so.
      if (!wanted_ids.has(link.peer_id)) this.#carrier.disconnect(link.peer_id, 'no longer a member');
    }
    for (const peer of wanted.values()) {
      const present = this.#links.get(peer.member);
      if (present !== undefined) {
        present.setAddresses(peer.addresses);
        continue;
      }
      const link = new PeerLink(peer, {
        env: this.#env,
        carrier: this.#carrier,
        generation: this.#generation,
        cluster: this.#cluster,
        handlers: this.#handlers,
        onRaft: (member, frame) => {
          for (const listener of this.#raft_listeners) listener(member, frame);
        },
        onPeer: (member, up) => this.#notifyPeer(member, up),
      });
      this.#links.set(peer.member, link);
      this.#by_peer.set(peer.peer_id, link);
    }
  }

  /** Bytes that wait to be sent to each member that is up, by stream: for whoever watches over bounds. */
  queuedBytes(): readonly { readonly member: number; readonly raft: number; readonly rpc: number }[] {
    return [...this.#links.values()].flatMap(({ member, session }) =>
      session === null ? [] : [{ member, ...session.queued_bytes }],
    );
  }

  isUp(member: number): boolean {
    return (this.#links.get(member)?.session ?? null) !== null;
  }

  onPeer(handler: (member: number, up: boolean) => void): () => void {
    this.#peer_listeners.add(handler);
    return () => this.#peer_listeners.delete(handler);
  }

  call(member: number, method: string, params: unknown, options: CallOptions): Promise<unknown> {
    if (member === this.#self_member && !this.#closed) return this.#local.call(method, params, options);
    const session = this.#links.get(member)?.session;
    if (session == null) return Promise.reject(this.#unreachable(member));
    return session.rpc.call(method, params, options);
  }

  handle(method: string, handler: RpcHandler): void {
    if (this.#handlers.has(method)) throw new Error(`invariant: method ${method} has a handler already`);
    this.#handlers.set(method, handler);
  }

  async openStream(member: number, purpose: string, hello: unknown, timeout_ms: number): Promise<ByteStream> {
    if (member === this.#self_member)
      throw new RpcError('invalid', 'a stream to this node itself has no use');
    const session = this.#links.get(member)?.session;
    if (session == null) throw this.#unreachable(member);
    const end_ms = this.#env.now_ms() + timeout_ms;
    const deadline = deadlineSignal(this.#env, timeout_ms);
    let stream: CarrierStream;
    try {
      stream = await session.connection.openStream(stream_protocol, deadline.signal);
    } catch (error) {
      const code = deadline.signal.aborted ? 'timeout' : 'unreachable';
      throw new RpcError(code, `stream ${purpose} to member ${member}: ${errorText(error)}`);
    } finally {
      deadline.clear();
    }
    return greetByteStream(this.#env, stream, purpose, hello, Math.max(1, end_ms - this.#env.now_ms()));
  }

  handleStream(purpose: string, handler: ByteStreamHandler): void {
    if (this.#stream_handlers.has(purpose))
      throw new Error(`invariant: stream ${purpose} has a handler already`);
    this.#stream_handlers.set(purpose, handler);
  }

  serveJoin(open: () => boolean, handler: JoinHandler): void {
    this.#join.serve(open, handler);
  }

  requestJoin(
    addresses: readonly string[],
    peer_id: string,
    request: unknown,
    timeout_ms: number,
  ): Promise<unknown> {
    if (this.#closed) return Promise.reject(new RpcError('unreachable', 'the mesh is closed'));
    return requestJoin(this.#env, this.#carrier, addresses, peer_id, request, timeout_ms);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTick();
    for (const link of this.#links.values()) link.close('the mesh is closed');
    this.#links.clear();
    this.#by_peer.clear();
    for (const visitor of [...this.#visitors]) visitor.abort('the mesh is closed');
    this.#local.end('the mesh is closed');
    await this.#carrier.close();
  }

  // ---------------------------------------------------------------- from the carrier

  admit(peer_id: string): boolean {
    if (this.#closed || this.#carrier_ === null) return false;
    if (this.#by_peer.has(peer_id)) return true;
    return this.#join.open && this.#visitors.size < mesh_limits.max_visitors;
  }

  inbound(connection: CarrierConnection): void {
    const { peer_id } = connection;
    if (!this.admit(peer_id)) {
      connection.abort('not a member');
      return;
    }
    const link = this.#by_peer.get(peer_id);
    if (link === undefined) this.#visitors.add(connection);
    // A member that we are to dial has come by itself: it knocks.
    else link.knocked();
    const cancel = this.#env.after(mesh_limits.visitor_ms, () => {
      if (this.#by_peer.get(peer_id)?.session?.connection !== connection) connection.abort('it is not used');
    });
    connection.onClose(() => {
      cancel();
      this.#visitors.delete(connection);
    });
  }

  stream(connection: CarrierConnection, protocol: MeshProtocol, stream: CarrierStream): void {
    if (protocol === join_protocol) {
      this.#join.onStream(connection, stream);
      return;
    }
    const link = this.#by_peer.get(connection.peer_id);
    if (link === undefined || this.#closed) {
      connection.abort('not a member');
      return;
    }
    switch (protocol) {
      case raft_protocol:
      case rpc_protocol:
        link.adopt(connection, protocol, stream);
        return;
      case stream_protocol:
        acceptByteStream(this.#env, link.member, stream, this.#stream_handlers);
        return;
    }
  }

  // ---------------------------------------------------------------- within

  get #carrier(): Carrier {
    if (this.#carrier_ === null) throw new Error('invariant: the mesh has not been started');
    return this.#carrier_;
  }

  #sendRaft(to: number, bytes: Uint8Array): void {
    if (bytes.byteLength > mesh_limits.max_frame_bytes) {
      const fields = { to, bytes: bytes.byteLength, limit: mesh_limits.max_frame_bytes };
      this.#env.log('error', 'a raft message is over the frame limit and was dropped', fields);
      return;
    }
    this.#links.get(to)?.session?.sendRaft(bytes);
  }

  #notifyPeer(member: number, up: boolean): void {
    for (const listener of [...this.#peer_listeners]) listener(member, up);
  }

  #unreachable(member: number): RpcError {
    if (this.#closed) return new RpcError('unreachable', 'the mesh is closed');
    const known = this.#links.has(member);
    return new RpcError(
      'unreachable',
      known ? `member ${member} is not connected` : `member ${member} is not a peer of this node`,
    );
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#env.after(mesh_limits.tick_ms, () => {
      const now_ms = this.#env.now_ms();
      // Frozen or suspended: what came meanwhile waits in the sockets and must be read before anyone is judged.
      const own_pause = now_ms - this.#last_tick_ms > mesh_limits.tick_ms * 3;
      this.#last_tick_ms = now_ms;
      for (const link of [...this.#links.values()]) link.tick(now_ms, own_pause);
      if (!this.#closed) this.#scheduleTick();
    });
  }
}

/** Mostly what changed about a node concerns nobody's connections, and all its fellows are the very same objects. */
function samePeers(a: readonly MeshPeer[], b: readonly MeshPeer[]): boolean {
  return a.length === b.length && a.every((peer, at) => samePeer(peer, b[at]!));
}

function samePeer(a: MeshPeer, b: MeshPeer): boolean {
  return (
    a === b ||
    (a.member === b.member &&
      a.peer_id === b.peer_id &&
      (a.addresses === b.addresses || a.addresses.join() === b.addresses.join()))
  );
}

/** Throws, naming what is wrong: the list comes from the replicated state, so that a bad one is a broken invariant. */
function checkPeers(peers: readonly MeshPeer[]): Map<number, MeshPeer> {
  if (peers.length > mesh_limits.max_peers)
    throw new Error(`${peers.length} peers, expected at most ${mesh_limits.max_peers}`);
  const members = new Map<number, MeshPeer>();
  const ids = new Set<string>();
  for (const peer of peers) {
    if (!Number.isSafeInteger(peer.member) || peer.member < 1)
      throw new Error(`member ${peer.member}, expected a positive integer`);
    if (peer.peer_id === '') throw new Error(`member ${peer.member} has no peer id`);
    if (members.has(peer.member)) throw new Error(`member ${peer.member} is listed twice`);
    if (ids.has(peer.peer_id)) throw new Error(`peer id ${peer.peer_id} is listed twice`);
    members.set(peer.member, peer);
    ids.add(peer.peer_id);
  }
  return members;
}

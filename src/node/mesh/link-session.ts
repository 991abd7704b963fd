/**
 * One connection to a member with its two long-lived streams, raft and rpc. It is *open* once the peer's hello has
 * come; it ends once, with everything that hung on it, when either stream or the connection closes, when the peer
 * breaks the protocol, when nothing was heard from it for too long, or when its raft stream took nothing for as long
 * although something waits for it: the rpc stream may go on answering meanwhile. A peer of another generation of the cluster is
 * *refused*: both hear each other's greeting, and nothing else.
 */
import type { ClusterGeneration, MeshCluster, RpcHandler } from '../mesh-types.ts';
import type { CarrierConnection, CarrierStream, MeshEnv } from './carrier.ts';
import { FrameChannel } from './frame-channel.ts';
import { mesh_limits, mesh_version } from './limits.ts';
import { RpcSession } from './rpc-session.ts';

export interface LinkSessionParts {
  readonly env: MeshEnv;
  readonly member: number;
  readonly peer_id: string;
  readonly generation: number;
  readonly cluster: MeshCluster;
  readonly handlers: ReadonlyMap<string, RpcHandler>;
  readonly onOpen: (session: LinkSession) => void;
  readonly onRaft: (frame: Uint8Array) => void;
  readonly onEnd: (session: LinkSession, reason: string) => void;
}

export class LinkSession {
  readonly connection: CarrierConnection;
  readonly rpc: RpcSession;
  readonly #parts: LinkSessionParts;
  readonly #raft_channel: FrameChannel;
  readonly #rpc_channel: FrameChannel;
  #state: 'greeting' | 'open' | 'refused' | 'ended' = 'greeting';
  #heard_ms: number;
  #opened_ms = 0;
  /** When the raft stream last took something or had nothing to take, and what it had taken by then. */
  #raft_moved = { at_ms: 0, writes: 0 };
  #peer_generation = 0;
  #cancelHello: () => void;

  constructor(
    connection: CarrierConnection,
    raft: CarrierStream,
    rpc: CarrierStream,
    parts: LinkSessionParts,
  ) {
    this.connection = connection;
    this.#parts = parts;
    this.#heard_ms = parts.env.now_ms();
    const onBad = (reason: string) => this.end(`protocol error: ${reason}`);
    this.rpc = new RpcSession({
      env: parts.env,
      member: () => parts.member,
      peer: `member ${parts.member}`,
      handlers: parts.handlers,
      send: (frame) => this.#rpc_channel.send(frame),
      answer: (frame) => {
        const sent = this.#rpc_channel.send(frame, mesh_limits.rpc_hard_queue_bytes);
        if (!sent && this.#state !== 'ended') this.end('it does not read its answers');
      },
      onHello: (version, generation, cluster) => this.#greeted(version, generation, cluster),
      onBad,
    });
    this.#raft_channel = new FrameChannel(raft, {
      max_frame_bytes: mesh_limits.max_frame_bytes,
      queue_bytes: mesh_limits.raft_queue_bytes,
      onBad,
      onFrame: (frame) => {
        this.#heard_ms = parts.env.now_ms();
        // Before its hello we do not know what the peer speaks; Raft may lose messages.
        if (this.#state === 'open') parts.onRaft(frame);
      },
    });
    this.#rpc_channel = new FrameChannel(rpc, {
      max_frame_bytes: mesh_limits.max_frame_bytes,
      queue_bytes: mesh_limits.rpc_queue_bytes,
      onBad,
      onFrame: (frame) => {
        this.#heard_ms = parts.env.now_ms();
        if (this.#state !== 'refused') this.rpc.onFrame(frame);
      },
    });
    raft.onClose(() => this.end('the raft stream closed'));
    rpc.onClose(() => this.end('the rpc stream closed'));
    connection.onClose((reason) => this.end(reason));
    this.#cancelHello = parts.env.after(mesh_limits.hello_timeout_ms, () => this.end('no hello in time'));
    this.rpc.hello(mesh_version, parts.generation, parts.cluster.own());
  }

  get state(): 'greeting' | 'open' | 'refused' | 'ended' {
    return this.#state;
  }

  /** Bytes that wait to be sent, by stream. */
  get queued_bytes(): { readonly raft: number; readonly rpc: number } {
    return { raft: this.#raft_channel.queued_bytes, rpc: this.#rpc_channel.queued_bytes };
  }

  get peer_generation(): number {
    return this.#peer_generation;
  }

  get opened_ms(): number {
    return this.#opened_ms;
  }

  sendRaft(frame: Uint8Array): void {
    if (this.#state !== 'open') return;
    const dropped = this.#raft_channel.sendDroppingOldest(frame);
    if (dropped > 0)
      this.#parts.env.log('debug', 'raft queue full, dropped the oldest', {
        member: this.#parts.member,
        dropped,
      });
  }

  /** Called about once a second. `own_pause`: this process itself stood still, so silence proves nothing. */
  tick(now_ms: number, own_pause: boolean): void {
    if (this.#state !== 'open') return;
    if (own_pause) this.#heard_ms = now_ms;
    const { queued_bytes, writes } = this.#raft_channel;
    if (own_pause || queued_bytes === 0 || writes !== this.#raft_moved.writes)
      this.#raft_moved = { at_ms: now_ms, writes };
    const stuck_ms = now_ms - this.#raft_moved.at_ms;
    if (stuck_ms >= mesh_limits.silence_ms) {
      this.end(`its raft stream took nothing for ${Math.round(stuck_ms)} ms`);
      return;
    }
    const silent_ms = now_ms - this.#heard_ms;
    if (silent_ms >= mesh_limits.silence_ms) this.end(`silent for ${Math.round(silent_ms)} ms`);
    else if (silent_ms >= mesh_limits.ping_after_ms || own_pause) this.rpc.ping();
  }

  end(reason: string): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#cancelHello();
    this.#raft_channel.end();
    this.#rpc_channel.end();
    this.connection.abort(reason);
    this.rpc.end(`the connection ended (${reason})`);
    this.#parts.onEnd(this, reason);
  }

  #greeted(version: number, generation: number, cluster: ClusterGeneration): void {
    if (version !== mesh_version) {
      this.end(`it speaks mesh version ${version}, expected ${mesh_version}`);
      return;
    }
    this.#cancelHello();
    const own = this.#parts.cluster.own().generation;
    if (cluster.generation !== own) {
      this.#state = 'refused';
      const reason = `it is of generation ${cluster.generation} of the cluster, this host of ${own}`;
      // Held a moment: ending it at once could overtake our own greeting, and the peer must learn of us.
      this.#cancelHello = this.#parts.env.after(mesh_limits.knock_hold_ms, () => this.end(reason));
      this.#parts.cluster.other(this.#parts.member, cluster);
      return;
    }
    this.#state = 'open';
    this.#opened_ms = this.#parts.env.now_ms();
    this.#raft_moved = { at_ms: this.#opened_ms, writes: this.#raft_channel.writes };
    this.#peer_generation = generation;
    this.#parts.onOpen(this);
  }
}

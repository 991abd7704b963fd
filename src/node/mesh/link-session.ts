/**
 * One connection to a member with its two long-lived streams, raft and rpc. It is *open* once the peer's hello has
 * come; it ends once, with everything that hung on it, when either stream or the connection closes, when the peer
 * breaks the protocol, or when nothing was heard from it for too long.
 */
import type { RpcHandler } from '../mesh-types.ts';
import type { CarrierConnection, CarrierStream, MeshEnv } from './carrier.ts';
import { FrameChannel } from './frame-channel.ts';
import { mesh_limits, mesh_version } from './limits.ts';
import { RpcSession } from './rpc-session.ts';

export interface LinkSessionParts {
  readonly env: MeshEnv;
  readonly member: number;
  readonly peer_id: string;
  readonly generation: number;
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
  #state: 'greeting' | 'open' | 'ended' = 'greeting';
  #heard_ms: number;
  #opened_ms = 0;
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
      onHello: (version, generation) => this.#greeted(version, generation),
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
        this.rpc.onFrame(frame);
      },
    });
    raft.onClose(() => this.end('the raft stream closed'));
    rpc.onClose(() => this.end('the rpc stream closed'));
    connection.onClose((reason) => this.end(reason));
    this.#cancelHello = parts.env.after(mesh_limits.hello_timeout_ms, () => this.end('no hello in time'));
    this.rpc.hello(mesh_version, parts.generation);
  }

  get state(): 'greeting' | 'open' | 'ended' {
    return this.#state;
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

  #greeted(version: number, generation: number): void {
    if (version !== mesh_version) {
      this.end(`it speaks mesh version ${version}, expected ${mesh_version}`);
      return;
    }
    this.#cancelHello();
    this.#state = 'open';
    this.#opened_ms = this.#parts.env.now_ms();
    this.#peer_generation = generation;
    this.#parts.onOpen(this);
  }
}

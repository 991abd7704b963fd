/**
 * The link to one member: gets a connection and keeps it, for ever. Of a pair only the lower peer id dials, so that a
 * simultaneous start cannot make two connections; the other side may *knock*: an authenticated connection that carries
 * nothing and means "dial me now", so that a restarted host does not wait for the end of a back-off.
 * A newer connection replaces the one in use, unless it is of an older life of the peer.
 */
import type { MeshCluster, MeshPeer, RpcHandler } from '../mesh-types.ts';
import { Backoff } from './backoff.ts';
import {
  type Carrier,
  type CarrierConnection,
  type CarrierStream,
  DialError,
  type MeshEnv,
} from './carrier.ts';
import { deadlineSignal } from './deadline.ts';
import { mesh_limits, raft_protocol, rpc_protocol } from './limits.ts';
import { LinkSession } from './link-session.ts';
import { errorText } from './wire.ts';

export interface PeerLinkParts {
  readonly env: MeshEnv;
  readonly carrier: Carrier;
  readonly generation: number;
  readonly cluster: MeshCluster;
  readonly handlers: ReadonlyMap<string, RpcHandler>;
  readonly onRaft: (member: number, frame: Uint8Array) => void;
  readonly onPeer: (member: number, up: boolean) => void;
}

interface Half {
  raft: CarrierStream | null;
  rpc: CarrierStream | null;
}

export class PeerLink {
  readonly peer_id: string;
  readonly member: number;
  /** This side dials. */
  readonly dials: boolean;
  readonly #parts: PeerLinkParts;
  readonly #backoff: Backoff;
  readonly #halves = new Map<CarrierConnection, Half>();
  readonly #greeting = new Set<LinkSession>();
  #addresses: readonly string[];
  #attempts = 0;
  #current: LinkSession | null = null;
  #dialing: { readonly abort: () => void; readonly since_ms: number } | null = null;
  #knocking: CarrierConnection | null = null;
  #cancelTimer: () => void;
  #cancelPatience: () => void = () => undefined;
  #closed = false;

  constructor(peer: MeshPeer, parts: PeerLinkParts) {
    this.peer_id = peer.peer_id;
    this.member = peer.member;
    this.dials = parts.carrier.peer_id < peer.peer_id;
    this.#addresses = peer.addresses;
    this.#parts = parts;
    this.#backoff = new Backoff(mesh_limits.redial_min_ms, mesh_limits.redial_max_ms, parts.env.random);
    if (this.dials) this.#cancelTimer = parts.env.after(0, () => this.#dial());
    else {
      const delay_ms = mesh_limits.knock_delay_ms * (0.5 + parts.env.random());
      this.#cancelTimer = parts.env.after(delay_ms, () => this.#knock());
    }
  }

  /** The open session; null while the link is down. */
  get session(): LinkSession | null {
    return this.#current;
  }

  setAddresses(addresses: readonly string[]): void {
    // Mostly the very same array: this is called for every member whenever one of them changes.
    if (addresses === this.#addresses || addresses.join() === this.#addresses.join()) return;
    this.#addresses = addresses;
    this.dialNow();
  }

  /** Dials at once if this side dials and the link is down; an attempt that already hangs is given up for it. */
  dialNow(): void {
    if (this.#closed || !this.dials || this.#current !== null) return;
    this.#backoff.reset();
    if (this.#dialing !== null) {
      // A young attempt may be about to get there; an old one is stuck on what was dead until now.
      const dialing = this.#dialing;
      const left_ms = mesh_limits.young_dial_ms - (this.#parts.env.now_ms() - dialing.since_ms);
      this.#cancelPatience();
      if (left_ms <= 0) dialing.abort();
      else
        this.#cancelPatience = this.#parts.env.after(left_ms, () => {
          if (this.#dialing === dialing) dialing.abort();
        });
      return;
    }
    this.#schedule(0);
  }

  /**
   * The peer, which this side dials, has come by itself. It does so only without a link, within one dial of its start: a
   * session that is older than that ended with the peer's former life, whose host had no time to say so.
   */
  knocked(): void {
    const { env } = this.#parts;
    const session = this.#current;
    if (this.dials && session !== null && env.now_ms() - session.opened_ms > mesh_limits.dial_timeout_ms)
      session.end('the peer has started anew');
    this.dialNow();
  }

  /** A raft or rpc stream that the peer opened. */
  adopt(
    connection: CarrierConnection,
    protocol: typeof raft_protocol | typeof rpc_protocol,
    stream: CarrierStream,
  ): void {
    if (this.#closed || this.dials) {
      connection.abort('this side dials');
      return;
    }
    let half = this.#halves.get(connection);
    if (half === undefined) {
      half = { raft: null, rpc: null };
      this.#halves.set(connection, half);
      connection.onClose(() => this.#halves.delete(connection));
      if (!connection.open) this.#halves.delete(connection);
    }
    const key = protocol === raft_protocol ? 'raft' : 'rpc';
    if (half[key] !== null) {
      connection.abort(`a second ${key} stream`);
      return;
    }
    half[key] = stream;
    if (half.raft !== null && half.rpc !== null) this.#begin(connection, half.raft, half.rpc);
  }

  tick(now_ms: number, own_pause: boolean): void {
    this.#current?.tick(now_ms, own_pause);
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer();
    this.#cancelPatience();
    this.#dialing?.abort();
    this.#knocking?.abort(reason);
    for (const connection of [...this.#halves.keys()]) connection.abort(reason);
    for (const session of [...this.#greeting]) session.end(reason);
    this.#current?.end(reason);
  }

  #begin(connection: CarrierConnection, raft: CarrierStream, rpc: CarrierStream): void {
    const { env, generation, cluster, handlers } = this.#parts;
    const session = new LinkSession(connection, raft, rpc, {
      env,
      member: this.member,
      peer_id: this.peer_id,
      generation,
      cluster,
      handlers,
      onOpen: (opened) => this.#opened(opened),
      onRaft: (frame) => this.#parts.onRaft(this.member, frame),
      onEnd: (ended, reason) => this.#ended(ended, reason),
    });
    if (session.state === 'greeting') this.#greeting.add(session);
  }

  #opened(session: LinkSession): void {
    this.#greeting.delete(session);
    const former = this.#current;
    if (former !== null && session.peer_generation < former.peer_generation) {
      session.end(
        `an older life of the peer (generation ${session.peer_generation}, now ${former.peer_generation})`,
      );
      return;
    }
    // Down before up: calls on the former connection have ended, and both sides must know.
    former?.end('replaced by a newer connection');
    if (session.state !== 'open' || this.#closed) return;
    this.#current = session;
    this.#parts.env.log('info', 'peer is up', {
      member: this.member,
      address: session.connection.remote_address,
    });
    this.#parts.onPeer(this.member, true);
  }

  #ended(session: LinkSession, reason: string): void {
    this.#greeting.delete(session);
    const { env } = this.#parts;
    if (this.#current !== session) {
      env.log('debug', 'a connection ended before it was up', { member: this.member, reason });
    } else {
      this.#current = null;
      if (env.now_ms() - session.opened_ms >= mesh_limits.stable_ms) this.#backoff.reset();
      env.log('info', 'peer is down', { member: this.member, reason });
      this.#parts.onPeer(this.member, false);
    }
    if (this.dials && this.#current === null && this.#greeting.size === 0)
      this.#schedule(this.#backoff.next());
  }

  #schedule(delay_ms: number): void {
    if (this.#closed) return;
    this.#cancelTimer();
    this.#cancelTimer = this.#parts.env.after(delay_ms, () => this.#dial());
  }

  #dial(): void {
    if (this.#closed || this.#current !== null || this.#dialing !== null || this.#greeting.size > 0) return;
    const { env, carrier } = this.#parts;
    const address = this.#addresses[this.#attempts++ % Math.max(1, this.#addresses.length)];
    if (address === undefined) return; // setAddresses starts it again
    const deadline = deadlineSignal(env, mesh_limits.dial_timeout_ms);
    this.#dialing = { abort: deadline.abort, since_ms: env.now_ms() };
    let connection: CarrierConnection | null = null;
    const attempt = async () => {
      connection = await carrier.dial(this.peer_id, address, deadline.signal);
      // One round trip for both. The rpc stream second, so that its hello finds the raft stream open.
      const [raft, rpc] = await Promise.all([
        connection.openStream(raft_protocol, deadline.signal),
        connection.openStream(rpc_protocol, deadline.signal),
      ]);
      if (this.#closed) throw new DialError('unreachable', 'the link was closed');
      return { connection, raft, rpc };
    };
    attempt().then(
      (made) => {
        this.#dialing = null;
        deadline.clear();
        this.#begin(made.connection, made.raft, made.rpc);
      },
      (error: unknown) => {
        this.#dialing = null;
        deadline.clear();
        connection?.abort('could not open its streams');
        env.log('debug', 'dial failed', { member: this.member, address, error: errorText(error) });
        this.#schedule(this.#backoff.next());
      },
    );
  }

  #knock(): void {
    const address = this.#addresses[0];
    if (this.#closed || this.#current !== null || this.#greeting.size > 0 || address === undefined) return;
    const { env, carrier } = this.#parts;
    const deadline = deadlineSignal(env, mesh_limits.dial_timeout_ms);
    carrier.dial(this.peer_id, address, deadline.signal).then(
      (connection) => {
        deadline.clear();
        // Held a moment: ending it at once could overtake the handshake's last message.
        this.#knocking = connection;
        if (this.#closed) connection.abort('knocked');
        else this.#cancelTimer = env.after(mesh_limits.knock_hold_ms, () => connection.abort('knocked'));
      },
      (error: unknown) => {
        deadline.clear();
        env.log('debug', 'knock failed', { member: this.member, address, error: errorText(error) });
      },
    );
  }
}

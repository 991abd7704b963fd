/**
 * The host's side of a renewal: its replica is faulty, the cluster has given its node a new member number, and it begins
 * anew under that with an empty log. Node, keeper, lease, guests, step journal and state image stay; of the image only
 * what was committed was ever in there.
 *
 * Two numbers of one node never count at once: the old replica counts for nothing since it is faulty, and its log is gone
 * before the new one starts. `member.json` names the new number first, together with `begin_anew`: a crash before it
 * leaves the old replica, which will ask again; a crash after it, at any place, leaves a host whose next start empties the
 * log once more, before anything was said under the new number.
 *
 * What it must never do: take a number that the log did not give to this node, or one that is not higher than its own.
 */
import type { StateView } from '../config/api.ts';
import type { ReplicaStatus } from '../consensus/api.ts';
import { bootstrapLog } from '../consensus/index.ts';
import type { Host } from './host.ts';
import { type MemberFile, writeMemberFile } from './member-file.ts';
import type { MeshPeer } from './mesh-types.ts';
import type { Env } from './real-env.ts';

/** Before the replica is opened: resolves with the file to go on with. */
export async function beginAnew(
  host: Pick<Host, 'wipeLog' | 'openLogDisk' | 'membership'>,
  file: MemberFile,
): Promise<MemberFile> {
  if (file.begin_anew !== true) return file;
  await host.wipeLog();
  await bootstrapLog(await host.openLogDisk());
  const { begin_anew: _, ...begun } = file;
  await writeMemberFile(host.membership, begun);
  return begun;
}

export interface OwnNumberDeps {
  readonly env: Pick<Env, 'after' | 'log' | 'fatal'>;
  readonly host: Pick<Host, 'membership' | 'peer_id'>;
  readonly replica: { status(): Pick<ReplicaStatus, 'leader' | 'applied' | 'commit'> };
  readonly state: Pick<StateView, 'get'>;
  readonly file: MemberFile;
  peers(): readonly MeshPeer[];
  /** Ends this life of the agent; the next one begins anew. */
  restart(reason: string): void;
}

export interface OwnNumber {
  /** The nodes changed. */
  wake(): void;
  /** Somebody with a later state says what this node's number is. */
  take(member: number): void;
  /** Resolves when nothing writes `member.json` any more. */
  stop(): Promise<void>;
}

/** Between two looks at whether the peers in the file are those of now. */
const look_every_ms = 1_000;

/**
 * The one writer of `member.json` while the member runs. Keeps the peers in it as the configuration has them: a member
 * that lost log and image knows the others from there alone, and the others it does not know cannot reach it either.
 * Learns of this node's new number: from the log, as far as it still reaches the old replica, or from any peer
 * (acquaintance.ts), since the others know their links by the new number as soon as they apply it, and the old one hears no more.
 */
export function watchOwnNumber(deps: OwnNumberDeps): OwnNumber {
  const { env, replica, state, file } = deps;
  let over = false;
  let peers_changed = true;
  let saved = JSON.stringify(file.peers);
  let writes: Promise<void> = Promise.resolve();

  function write(next: MemberFile, then: () => void = () => undefined): void {
    writes = writes
      .then(() => writeMemberFile(deps.host.membership, next))
      .then(then, (error: Error) => env.fatal(`member.json cannot be written: ${error.message}`, error));
  }

  const peersNow = (own: number) =>
    deps.peers().map((peer) => ({
      member: peer.peer_id === deps.host.peer_id ? own : peer.member,
      peer_id: peer.peer_id,
      addresses: [...peer.addresses],
    }));

  /** Only what is current: while a log is replayed the nodes are those of long ago. */
  function savePeers(): void {
    const { leader, applied, commit } = replica.status();
    if (!peers_changed || leader === 0 || applied < commit) return;
    peers_changed = false;
    const peers = peersNow(file.member);
    const text = JSON.stringify(peers);
    if (text === saved) return;
    saved = text;
    write({ ...file, peers });
  }

  function take(member: number): void {
    if (over || member <= file.member) return;
    over = true;
    env.log('warn', 'this host begins anew with an empty log', { member, was: file.member });
    write({ ...file, member, peers: peersNow(member), begin_anew: true }, () =>
      deps.restart(`member ${file.member} is member ${member} now`),
    );
  }

  function tick(): void {
    if (over) return;
    cancel = env.after(look_every_ms, tick);
    savePeers();
  }
  let cancel = env.after(look_every_ms, tick);

  return {
    take,
    wake() {
      peers_changed = true;
      take(state.get('nodes', file.node_uuid)?.member ?? 0);
    },
    stop() {
      over = true;
      cancel();
      return writes;
    },
  };
}

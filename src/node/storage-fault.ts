/**
 * A member's two stores, log and state image, opened together: what one of them has lost may make the other worthless.
 * Whatever is damaged, missing or contradicts the other leaves a member that listens, marked for good before anything
 * else is touched; nothing damaged is dropped or written over. And the words for people: what is wrong, what it means,
 * what to do.
 */
import {
  type CoreStatus,
  type Damage,
  type DiskLogStore,
  describeFault,
  diskSpool,
  LogMissingError,
  log_room_bytes,
  openLogStore,
  setLogAside,
} from '../consensus/index.ts';
import type { LogDisk, SnapshotSpool } from '../consensus/types.ts';
import type { Host } from './host.ts';
import { ImageError } from './image.ts';
import { type Machine, type MachineEnv, openMachine } from './machine.ts';

export interface StoresDeps {
  readonly host: Pick<Host, 'openLogDisk' | 'openImage'>;
  readonly env: MachineEnv;
  /** Moves a damaged image out of the way, durably. Absent: such an image cannot be lived with. */
  readonly setImageAside?: (() => Promise<void>) | undefined;
}

/** @throws ImageError for an image that cannot be used and is not damaged: locked, say, or of a later version. */
export async function openStores(
  deps: StoresDeps,
): Promise<{ readonly machine: Machine; readonly log: DiskLogStore; readonly spool: SnapshotSpool }> {
  const { env } = deps;
  const disk = await deps.host.openLogDisk();
  const machine = await openImageOrNew(deps, disk);
  const warn = (message: string, fields: Record<string, unknown>) => env.log('warn', message, fields);
  const open = () => openLogStore(disk, { warn, room_bytes: log_room_bytes });
  const begunAnew = async (damage: Omit<Damage, 'offset' | 'index'>) => {
    await setLogAside(disk, { offset: 0, index: 0, ...damage });
    return open();
  };
  let log = await open().catch((error: unknown) => {
    if (!(error instanceof LogMissingError)) throw error;
    // A log was begun before this host became a member.
    return begunAnew({ file: 'log', reason: 'it is gone, and term and vote with it' });
  });
  const { index } = log.initial.snapshot;
  if (machine.durable.index < index) {
    const reason = `it ends at index ${machine.durable.index}, but the log begins after ${index}`;
    await log.close();
    log = await begunAnew({ file: 'state image', reason });
  }
  if (log.initial.fault) {
    const { fault } = log.initial;
    env.log('error', `the storage of this host is damaged: ${describeFault(fault)}`, {
      ...fault,
      next: what_to_do,
    });
  }
  return { machine, log, spool: diskSpool(disk) };
}

/**
 * Without its image a member lacks what its log no longer has. Its log may be whole: it goes all the same, so that the
 * leader sees from where on to send (docs/design/storage-faults.md).
 */
async function openImageOrNew(deps: StoresDeps, disk: LogDisk): Promise<Machine> {
  const { host, env, setImageAside } = deps;
  try {
    return await openMachine(await host.openImage(), env);
  } catch (error) {
    if (!isDamaged(error) || setImageAside === undefined) throw error;
    await setLogAside(disk, { file: 'state image', offset: 0, index: 0, reason: error.message });
    await setImageAside();
    return openMachine(await host.openImage(), env);
  }
}

/** Not every image that cannot be opened is damaged: it may be locked, or the disk full. */
function isDamaged(error: unknown): error is ImageError {
  if (!(error instanceof ImageError)) return false;
  if (error.message.includes('damaged')) return true;
  for (let at: unknown = error.cause; at instanceof Error; at = at.cause) {
    if ('code' in at && at.code === 'LEVEL_CORRUPTION') return true;
  }
  return false;
}

const what_to_do =
  'nothing while a leader is there, it has this host begin anew by itself: skein raft status';

/** What a status has to say of damaged storage, one line a member. */
export function faultWarnings(
  status: Pick<CoreStatus, 'id' | 'leader' | 'faulty' | 'configuration'>,
  nodeName: (member: number) => string,
): readonly string[] {
  const { id, leader, faulty, configuration } = status;
  const lines = faulty.map((of) => {
    const name = nodeName(of.id);
    const whose = of.id === id ? `the storage of this host (${name})` : `the storage of node ${name}`;
    return (
      `${whose} is damaged: ${of.reason}. It follows, but neither votes nor counts until it has begun anew under a ` +
      'new member number, which a leader sees to by itself: skein raft status'
    );
  });
  const { voters } = configuration;
  const sound = voters.filter((voter) => faulty.every((of) => of.id !== voter)).length;
  if (faulty.length > 0 && leader === 0) {
    const needed = Math.floor(voters.length / 2) + 1;
    lines.push(
      `no leader is known: of ${voters.length} voters ${voters.length - sound} have damaged storage, ` +
        (sound < needed
          ? `and the ${sound} that are sound are fewer than the ${needed} needed`
          : `and ${needed} of the ${sound} that are sound must be up and reach each other`),
    );
  }
  return lines;
}

/**
 * What an agent has of its host besides drivers and keeper: where it keeps things, its network, and what the machine
 * measures of itself. The real one is in real-host.ts; a simulation brings its own.
 */
import type { LogDisk } from '../consensus/types.ts';
import type { Image } from './image.ts';
import type { Mesh, MeshCluster } from './mesh-types.ts';
import type { PlacementService } from './placement-service.ts';

/** Small JSON values by name, each written whole and durable when the promise resolves. */
export interface Records {
  list(): Promise<readonly string[]>;
  /** null: there is none of that name. Rejects, naming it, when it is not JSON. */
  read(name: string): Promise<unknown>;
  write(name: string, value: unknown): Promise<void>;
  /** Gone already: fine. */
  remove(name: string): Promise<void>;
  /** For messages. */
  pathOf(name: string): string;
}

/** In MiB. `free`: what could be given away. */
export interface Space {
  readonly total: number;
  readonly free: number;
}

export interface Measures {
  readonly cpus: number;
  memory(): Space;
  /** Nothing is free in a directory that does not exist. */
  disk(directory: string): Promise<Space>;
  /** Paths of the files in `directory` and below; none when it does not exist. */
  filesUnder(directory: string): Promise<readonly string[]>;
  bridgeExists(name: string): Promise<boolean>;
}

export interface Host {
  readonly peer_id: string;
  readonly measures: Measures;
  /** Holds `member.json` only. */
  readonly membership: Records;
  /** The three stores of a membership, made if missing. */
  openLogDisk(): Promise<LogDisk>;
  openImage(): Promise<Image>;
  openJournalRecords(): Promise<Records>;
  /** Log, state and journal of an earlier membership: gone, durably, before another begins. */
  wipe(): Promise<void>;
  /** The log alone, before this host goes on under a new member number. */
  wipeLog(): Promise<void>;
  /** For the life of one member. */
  openPlacement(): PlacementService;
  /** @param self_member 0 while in no cluster; it then listens nowhere. */
  openMesh(self_member: number, cluster?: MeshCluster): Promise<Mesh>;
}

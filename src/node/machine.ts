/**
 * The replicated state machine as the replica runs it: applies entries to a `State`, tells who wants to know what
 * changed, and keeps the durable image up with it.
 *
 * Guarantees: entries are applied in index order, each once; a flush makes everything applied at its call durable in
 * one batch; a snapshot that does not hash to what it says replaces nothing.
 */
import type { Change, State } from '../config/api.ts';
import { tryDecodeCommand } from '../config/codec.ts';
import { createState } from '../config/state.ts';
import type { Configuration, Entry, ReplicaEnv, SnapshotMeta, StateMachine } from '../consensus/types.ts';
import { type Image, ImageError, type ImageMeta, image_version } from './image.ts';
import { readSnapshot, writeSnapshot } from './snapshot-stream.ts';

export type MachineEnv = Pick<ReplicaEnv, 'log' | 'fatal'>;

export type ChangesHandler = (index: number, changes: readonly Change[]) => void;

export interface Machine extends StateMachine {
  readonly state: State;
  /** Called after each entry that changed something, and after a snapshot with all that it changed. Returns what ends it. */
  onChanges(handler: ChangesHandler): () => void;
  /** Waits for writes under way. Does not flush. */
  close(): Promise<void>;
}

const no_configuration: Configuration = {
  voters: [],
  voters_outgoing: [],
  learners: [],
  learners_next: [],
  auto_leave: false,
};

/** The machine over an image that was opened for it. Closes it and throws `ImageError` when it is damaged. */
export async function openMachine(image: Image, env: MachineEnv): Promise<Machine> {
  try {
    return createMachine(image, env);
  } catch (error) {
    await image.close();
    throw error;
  }
}

/** A machine over any image. Throws `ImageError` when the image's objects do not hash to what its meta record says. */
export function createMachine(image: Image, env: MachineEnv): Machine {
  return new ImageMachine(image, env);
}

class ImageMachine implements Machine {
  readonly state: State = createState();
  readonly durable: SnapshotMeta;
  readonly #image: Image;
  readonly #env: MachineEnv;
  readonly #handlers = new Set<ChangesHandler>();
  /** What the image does not have yet, the latest value by table and key. */
  #dirty = new Map<string, Change>();
  #term: number;
  #configuration: Configuration;
  /** One write at a time, in the order of the calls. */
  #writes: Promise<void> = Promise.resolve();

  constructor(image: Image, env: MachineEnv) {
    this.#image = image;
    this.#env = env;
    const found = image.initial;
    if (found !== null) this.#load(found.meta, found.objects);
    this.#term = found?.meta.term ?? 0;
    this.#configuration = found?.meta.configuration ?? no_configuration;
    this.durable = this.#meta();
  }

  apply(entries: readonly Entry[]): readonly unknown[] {
    return entries.map((entry) => {
      const expected = this.state.index + 1;
      if (entry.index !== expected)
        throw new Error(`entry ${entry.index} was given to apply: expected ${expected}`);
      const result = this.#applyOne(entry);
      this.#term = entry.term;
      this.#publish();
      return result;
    });
  }

  configuration(index: number, configuration: Configuration): void {
    if (index > this.state.index) throw new Error(`configuration of entry ${index} before it was applied`);
    this.#configuration = configuration;
  }

  async flush(): Promise<SnapshotMeta> {
    let meta = this.#imageMeta();
    await this.#inTurn(async () => {
      // Only now: a snapshot may have been installed while this waited for its turn.
      meta = this.#imageMeta();
      const taken = this.#dirty;
      this.#dirty = new Map();
      try {
        await this.#image.write(meta, [...taken.values()]);
      } catch (error) {
        // Whoever flushes again must not leave these out; what changed since then is newer.
        this.#dirty = new Map([...taken, ...this.#dirty]);
        throw error;
      }
    });
    return snapshotMeta(meta);
  }

  snapshot(chunk_bytes: number): { readonly meta: SnapshotMeta; readonly chunks: AsyncIterable<Uint8Array> } {
    const header = { index: this.state.index, hash: this.state.hash() };
    // Objects are never changed, only replaced: what is listed here is the state as of now, however often it is read.
    const objects = [...this.state.entries()];
    const chunks = { [Symbol.asyncIterator]: () => writeSnapshot(header, objects, chunk_bytes) };
    return { meta: this.#meta(), chunks };
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { header, objects } = await readSnapshot(chunks);
    if (header.index !== meta.index)
      throw new Error(`the snapshot stands for index ${header.index}: expected ${meta.index}`);
    const trial = createState();
    trial.load(meta.index, objects);
    if (trial.hash() !== header.hash) {
      throw new Error(`the snapshot's objects hash to ${trial.hash()}: expected ${header.hash}`);
    }
    if (meta.index < this.state.index) {
      throw new Error(
        `the snapshot stands for index ${meta.index}, older than what is applied, ${this.state.index}`,
      );
    }
    const { index, term, configuration } = meta;
    const before = this.state.index;
    await this.#inTurn(async () => {
      await this.#image.replace(
        { version: image_version, index, term, configuration, hash: header.hash },
        objects,
      );
      // Nothing may be applied meanwhile: image and memory would part.
      if (this.state.index !== before)
        throw new Error(`entry ${this.state.index} was applied while a snapshot was installed`);
      this.state.load(index, objects);
      this.#term = term;
      this.#configuration = configuration;
      this.#dirty = new Map();
    });
    // The image has these already.
    this.#tell(this.state.takeChanges());
  }

  onChanges(handler: ChangesHandler): () => void {
    this.#handlers.add(handler);
    return () => {
      this.#handlers.delete(handler);
    };
  }

  async close(): Promise<void> {
    this.#handlers.clear();
    await this.#inTurn(() => this.#image.close());
  }

  #load(meta: ImageMeta, objects: readonly Change[]): void {
    const damaged = (why: string, cause?: unknown): ImageError =>
      new ImageError(`the state image is damaged: ${why}`, cause);
    try {
      this.state.load(meta.index, objects);
    } catch (error) {
      throw damaged(`an object cannot be hashed (${String(error)})`, error);
    }
    this.state.takeChanges();
    const hash = this.state.hash();
    if (hash === meta.hash) return;
    throw damaged(
      `its ${objects.length} objects hash to ${hash}, but at index ${meta.index} they were written as ${meta.hash}`,
    );
  }

  #applyOne(entry: Entry): unknown {
    switch (entry.kind) {
      case 'empty':
      case 'config':
        this.state.skip(entry.index);
        return undefined;
      case 'command': {
        const decoded = tryDecodeCommand(entry.data);
        if (decoded.ok) return this.state.apply(entry.index, decoded.command);
        this.#env.log('error', 'an entry that is no command was refused', {
          index: entry.index,
          reason: decoded.error.message,
        });
        this.state.skip(entry.index);
        return decoded;
      }
      default:
        return entry.kind satisfies never;
    }
  }

  #publish(): void {
    const changes = this.state.takeChanges();
    for (const change of changes) this.#dirty.set(dirtyKey(change), change);
    this.#tell(changes);
  }

  #tell(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    for (const handler of this.#handlers) {
      try {
        handler(this.state.index, changes);
      } catch (error) {
        // The state is right, but a part of this agent did not follow it: only a restart makes it whole.
        const at = this.state.index;
        this.#env.fatal(`a listener failed on the changes of entry ${at}: ${String(error)}`, error);
      }
    }
  }

  #meta(): SnapshotMeta {
    return { index: this.state.index, term: this.#term, configuration: this.#configuration };
  }

  #imageMeta(): ImageMeta {
    return { version: image_version, ...this.#meta(), hash: this.state.hash() };
  }

  async #inTurn(write: () => Promise<void>): Promise<void> {
    const turn = this.#writes.then(write);
    // The next one in turn must run whatever became of this one, whose caller is told.
    this.#writes = turn.catch(() => undefined);
    await turn;
  }
}

function dirtyKey(change: Change): string {
  return `${change.table}/${change.key}`;
}

function snapshotMeta(meta: ImageMeta): SnapshotMeta {
  return { index: meta.index, term: meta.term, configuration: meta.configuration };
}

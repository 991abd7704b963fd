/**
 * The durable image of the state: one record an object in `level`, and one meta record that says what index they stand
 * for and what they hash to.
 *
 * Guarantees: objects and meta change together, in one synced batch; what is read at open hashes to what was written,
 * or opening fails, because the store below was seen to open without an error after one flipped bit and to leave out
 * records from the middle. Must never be used by two processes at once (the store's own lock sees to it).
 */
import { createHash } from 'node:crypto';
import { access, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { Packr } from 'msgpackr';
import type { Change } from '../config/api.ts';
import { canonical } from '../config/canonical.ts';
import { table_names } from '../config/draft.ts';
import type { TableName, Tables } from '../config/model.ts';
import type { Configuration } from '../consensus/types.ts';

export const image_version = 1;

/** What the objects of an image stand for. */
export interface ImageMeta {
  readonly version: number;
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  /** `State.hash()` of the objects. */
  readonly hash: string;
}

/** Why an image cannot be used. The member must not go on with it: its objects are not what was acknowledged. */
export class ImageError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ImageError';
  }
}

/** Where a machine keeps its state. The one here is on disk; a simulation brings its own. */
export interface Image {
  /** What was found: null when the image is new. */
  readonly initial: { readonly meta: ImageMeta; readonly objects: readonly Change[] } | null;
  /** Durable when it resolves; a change whose value is null removes. */
  write(meta: ImageMeta, changes: readonly Change[]): Promise<void>;
  /** Like `write`, but everything that is not among `objects` goes. All or nothing. */
  replace(meta: ImageMeta, objects: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}

type Batch = (
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }
)[];

const packr = new Packr({ useRecords: false });
const meta_key = 'meta';
const object_prefix = 'object/';
/** Sorts right after every key that begins with {@link object_prefix}. */
const object_end = 'object0';
/** Present once a meta record was written: from then on an image without one has lost it. */
const marker_name = 'used';

/** Opens or creates the image in `dir`. Throws {@link ImageError} when it is damaged. */
export async function openImage(dir: string): Promise<Image> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const db = new Level<string, Uint8Array>(join(dir, 'level'), {
    keyEncoding: 'utf8',
    valueEncoding: 'view',
  });
  try {
    await db.open();
  } catch (error) {
    throw new ImageError(`the state image in ${dir} cannot be opened: ${reasonOf(error)}`, error);
  }
  try {
    const used = await exists(join(dir, marker_name));
    return new LevelImage(dir, db, used, await readAll(dir, db, used));
  } catch (error) {
    await db.close();
    throw error instanceof ImageError
      ? error
      : new ImageError(`the state image in ${dir} cannot be read: ${reasonOf(error)}`, error);
  }
}

class LevelImage implements Image {
  readonly initial: Image['initial'];
  readonly #dir: string;
  readonly #db: Level<string, Uint8Array>;
  #used: boolean;

  constructor(dir: string, db: Level<string, Uint8Array>, used: boolean, initial: Image['initial']) {
    this.#dir = dir;
    this.#db = db;
    this.#used = used;
    this.initial = initial;
  }

  async write(meta: ImageMeta, changes: readonly Change[]): Promise<void> {
    await this.#commit([...changes.map(record), metaRecord(meta)]);
  }

  async replace(meta: ImageMeta, objects: readonly Change[]): Promise<void> {
    const kept = new Set(objects.map((object) => objectKey(object.table, object.key)));
    const batch: Batch = [];
    for await (const key of this.#db.keys({ gt: object_prefix, lt: object_end })) {
      if (!kept.has(key)) batch.push({ type: 'del', key });
    }
    await this.#commit([...batch, ...objects.map(record), metaRecord(meta)]);
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  async #commit(batch: Batch): Promise<void> {
    await this.#db.batch(batch, { sync: true });
    if (this.#used) return;
    await createMarker(this.#dir);
    this.#used = true;
  }
}

function objectKey(table: TableName, key: string): string {
  return `${object_prefix}${table}/${key}`;
}

function record(change: Change): Batch[number] {
  const key = objectKey(change.table, change.key);
  return change.value === null ? { type: 'del', key } : { type: 'put', key, value: packr.pack(change.value) };
}

/** The meta record carries a checksum of its own: nothing else would notice a flipped bit in its index. */
function metaRecord(meta: ImageMeta): Batch[number] {
  return { type: 'put', key: meta_key, value: packr.pack([meta, checksum(meta)]) };
}

function checksum(meta: unknown): string {
  return createHash('sha256').update(canonical(meta)).digest('hex');
}

async function readAll(dir: string, db: Level<string, Uint8Array>, used: boolean): Promise<Image['initial']> {
  const bytes = await db.get(meta_key);
  const objects: Change[] = [];
  for await (const [key, value] of db.iterator({ gt: object_prefix, lt: object_end })) {
    objects.push(readObject(dir, key, value));
  }
  if (bytes === undefined) {
    if (used || objects.length > 0) {
      throw new ImageError(`the state image in ${dir} has lost its meta record: it is damaged`);
    }
    return null;
  }
  return { meta: readMeta(dir, bytes), objects };
}

function readObject(dir: string, key: string, value: Uint8Array): Change {
  const [table, ...rest] = key.slice(object_prefix.length).split('/');
  if (!table_names.includes(table as TableName)) {
    throw new ImageError(
      `the state image in ${dir} has the unknown record ${JSON.stringify(key)}: it is damaged`,
    );
  }
  try {
    return {
      table: table as TableName,
      key: rest.join('/'),
      value: packr.unpack(value) as Tables[TableName],
    };
  } catch (error) {
    throw new ImageError(
      `the state image in ${dir} is damaged: record ${JSON.stringify(key)} cannot be read (${reasonOf(error)})`,
      error,
    );
  }
}

function readMeta(dir: string, bytes: Uint8Array): ImageMeta {
  let found: unknown;
  try {
    found = packr.unpack(bytes);
  } catch (error) {
    throw new ImageError(
      `the state image in ${dir} is damaged: its meta record cannot be read (${reasonOf(error)})`,
      error,
    );
  }
  const [meta, sum] = Array.isArray(found) ? (found as [ImageMeta, unknown]) : [null, null];
  if (meta === null || checksum(meta) !== sum) {
    throw new ImageError(`the state image in ${dir} is damaged: its meta record fails its checksum`);
  }
  if (meta.version !== image_version) {
    throw new ImageError(`the state image in ${dir} has version ${meta.version}: expected ${image_version}`);
  }
  return meta;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

async function createMarker(dir: string): Promise<void> {
  const file = await open(join(dir, marker_name), 'w', 0o600);
  await file.sync();
  await file.close();
  const directory = await open(dir, 'r');
  await directory.sync();
  await directory.close();
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

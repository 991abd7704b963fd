/**
 * Small files that must survive a crash: written whole, synced, then renamed into place, with the directory synced
 * after it. A reader sees the old content or the new, never a part.
 */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes `value` as JSON, mode 0600. Durable when it resolves. */
export async function writeDurableJson(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(value)}\n`);
    await handle.sync();
  } catch (error) {
    await handle.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await handle.close();
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** null when there is no such file. Rejects, naming the file, when it is not JSON. */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not JSON (${(error as Error).message})`);
  }
}

/** Gone already: fine. Durable when it resolves. */
export async function removeDurable(path: string): Promise<void> {
  await rm(path, { force: true, recursive: true });
  await syncDirectory(dirname(path));
}

/** Copies those of `names` that exist in `from`, with all that is in them, into a new directory `to`. Durable when it resolves. */
export async function copyDurable(from: string, names: readonly string[], to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  const present = new Set(await readdir(from));
  for (const name of names) {
    if (present.has(name))
      await cp(join(from, name), join(to, name), { recursive: true, errorOnExist: true });
  }
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
    // A directory is synced like a file.
    if (entry.isFile() || entry.isDirectory()) await syncDirectory(join(entry.parentPath, entry.name));
  }
  await syncDirectory(to);
  await syncDirectory(dirname(to));
}

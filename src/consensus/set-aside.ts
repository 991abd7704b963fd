/**
 * Sets a damaged log aside and begins a new one beside it, marked for good: as long as the mark is there the member neither
 * votes nor counts. Not a byte of the damaged files is changed, they only get other names.
 *
 *     faulty-N.new         the report; setting aside has begun
 *     damaged-N-NAME       what was NAME
 *     segment-…, snapshot  the new log
 *     faulty-N             the report again: done, the new log may be used
 *
 * A crash in between is made good at the next start: nothing is promised on the new log before the last step. There is no
 * way back from here; the mark goes with the directory, when the host joins as a new member.
 */
import { empty_configuration } from './configuration.ts';
import { beginLog } from './fresh-log.ts';
import { assessDamage, segmentNumber } from './log-recovery.ts';
import { snapshot_files } from './snapshot-file.ts';
import type { LogDisk, StorageFault } from './types.ts';

const mark_pattern = /^faulty-(\d+)(\.new)?$/;
const damaged_pattern = /^damaged-(\d+)-/;
const longest_report_bytes = 65_536;

export type Damage = Pick<StorageFault, 'file' | 'offset' | 'index' | 'reason'>;

/** Whether `name` tells of damage: no log may be begun as if nothing had been. */
export function tellsOfDamage(name: string): boolean {
  return mark_pattern.test(name) || damaged_pattern.test(name);
}

/** One line for people. */
export function describeFault({ file, offset, index, reason }: Damage): string {
  const where = offset > 0 ? ` at offset ${offset}` : '';
  const which = index > 0 ? ` (log index ${index})` : '';
  return `${file}${where}${which}: ${reason}`;
}

/** Marks the member as faulty, durably, and leaves it with an empty log. Also where there is no log: then it was lost. */
export async function setLogAside(disk: LogDisk, damage: Damage): Promise<StorageFault> {
  const fault = { ...damage, ...(await assessDamage(disk)) };
  const n = newest(await disk.list()) + 1;
  const file = await disk.open(newMark(n));
  try {
    await file.truncate(0);
    await file.write(0, new TextEncoder().encode(`${JSON.stringify(fault)}\n`));
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.syncDirectory();
  await finish(disk, n, fault);
  return fault;
}

/** The newest report of damage, after finishing what a crash interrupted; null when this log was always sound. */
export async function readFault(disk: LogDisk): Promise<StorageFault | null> {
  const names = await disk.list();
  const n = newest(names);
  if (n === 0) return null;
  if (!names.includes(newMark(n))) return (await readReport(disk, mark(n), names)) ?? lostReport(mark(n));
  const fault = await readReport(disk, newMark(n), names);
  if (fault === null && !names.some((name) => name.startsWith(`damaged-${n}-`))) {
    // A crash before the report was durable: nothing was set aside yet, and the damage is still there to be found.
    await disk.remove(newMark(n));
    await disk.syncDirectory();
    return readFault(disk);
  }
  const known = fault ?? lostReport(newMark(n));
  await finish(disk, n, known);
  return known;
}

async function finish(disk: LogDisk, n: number, fault: StorageFault): Promise<void> {
  const names = await disk.list();
  const log_files = names.filter((name) => {
    return segmentNumber(name) !== null || snapshot_files.some((copy) => copy === name);
  });
  for (const name of log_files) {
    const aside = `damaged-${n}-${name}`;
    // Under both names: an earlier try has begun the new log already, and nobody has used it.
    if (names.includes(aside)) await disk.remove(name);
    else await disk.rename(name, aside);
  }
  await disk.syncDirectory();
  await beginLog(disk, empty_configuration, { term: 0, vote: 0, ...fault.hard_state, commit: 0 });
  await disk.rename(newMark(n), mark(n));
  await disk.syncDirectory();
}

/** The mark counts, whatever is in it. */
function lostReport(file: string): StorageFault {
  const reason = 'the log was found damaged earlier, and the report of it cannot be read';
  return { file, offset: 0, index: 0, good_to: 0, hard_state: null, reason };
}

/** null: there is none that can be read. */
async function readReport(
  disk: LogDisk,
  name: string,
  names: readonly string[],
): Promise<StorageFault | null> {
  if (!names.includes(name)) return null;
  try {
    const bytes = await disk.read(name);
    if (bytes.length > longest_report_bytes) return null;
    const found: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isFault(found) ? found : null;
  } catch (error) {
    const unreadable = error instanceof Error && 'code' in error && error.code === 'EIO';
    if (unreadable || error instanceof SyntaxError) return null;
    throw error;
  }
}

function isFault(found: unknown): found is StorageFault {
  if (typeof found !== 'object' || found === null) return false;
  const fields = new Map<string, unknown>(Object.entries(found));
  const numbers = (of: Map<string, unknown>, names: readonly string[]) =>
    names.every((name) => Number.isSafeInteger(of.get(name)) && Number(of.get(name)) >= 0);
  const hard_state = fields.get('hard_state');
  const state_fits =
    hard_state === null ||
    (typeof hard_state === 'object' &&
      numbers(new Map<string, unknown>(Object.entries(hard_state)), ['term', 'vote', 'commit']));
  return (
    numbers(fields, ['offset', 'index', 'good_to']) &&
    ['file', 'reason'].every((name) => typeof fields.get(name) === 'string') &&
    hard_state !== undefined &&
    state_fits
  );
}

function newest(names: readonly string[]): number {
  const numbers = names.map((name) => mark_pattern.exec(name) ?? damaged_pattern.exec(name));
  return Math.max(0, ...numbers.map((match) => Number(match?.[1] ?? 0)));
}

function mark(n: number): string {
  return `faulty-${n}`;
}

function newMark(n: number): string {
  return `faulty-${n}.new`;
}

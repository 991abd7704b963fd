/**
 * Where explorations begin, and how far each goes. Breadth first from a blank cluster alone would spend its states on
 * the ways to a first election; these begin where it becomes interesting. Each is played with the same steps as any run.
 */
import { type Bounds, quiet } from './bounds.ts';
import type { Director } from './director.ts';
import type { Lag } from './host.ts';

export interface Scope {
  readonly name: string;
  readonly about: string;
  readonly scene: (director: Director) => void;
  readonly lag: Lag;
  /** @param terms beyond the first; `entries` proposed at most */
  readonly bounds: (terms: number, entries: number) => Bounds;
}

/** Nothing has happened yet. */
function blank(): void {
  // The director starts with it.
}

/** @1 leads term 1; all have its entry and know it committed. */
export function settled(director: Director): void {
  director.play('@1 timeout');
  director.settle();
}

/** @1 leads term 1 with an entry that no other has; @2 leads term 2 by the vote of @3, with one of its own there. */
export function rivals(director: Director): void {
  settled(director);
  director.play('@1 propose aa');
  director.settle(() => false);
  director.play('@3 silence');
  director.play('@2 timeout');
  director.settle((m) => m.from !== 1 && m.to !== 1 && m.type.includes('vote'));
}

/**
 * Figure 3.7 of the thesis, between (b) and (c): as {@link rivals}, and @1 leads again, in term 3, by the vote of @3. Its
 * entry of term 1 is about to reach a majority, and may not be committed for that alone.
 */
export function figure37(director: Director): void {
  rivals(director);
  director.play('@1 heartbeat @2>@1 t2 round 1 commit 0');
  director.play('@1 timeout');
  director.settle((m) => m.from !== 2 && m.to !== 2 && m.type.includes('vote'));
}

const lagging: Lag = { lazy_sync: true, lazy_apply: false };
const prompt: Lag = { lazy_sync: false, lazy_apply: false };

/** @1 has committed an entry in term 1; @2, which has it but does not know that, leads term 2 by the vote of @3. */
export function successor(director: Director): void {
  settled(director);
  director.play('@1 propose aa');
  director.settle(() => false);
  director.play('@2 append @1>@2 t1 after 1/1 [2/1=aa] commit 1');
  director.settle(() => false);
  director.play('@1 append-reply @2>@1 t1 has 2');
  director.play('@3 silence');
  director.play('@2 timeout');
  director.settle((m) => m.from !== 1 && m.to !== 1 && m.type.includes('vote'));
}

export const scopes: readonly Scope[] = [
  {
    name: 'blank',
    about: 'first elections, crashes in the midst of them',
    scene: blank,
    lag: lagging,
    bounds: (terms) => ({ ...quiet, max_term: terms, proposals: 1, crashes: 1 }),
  },
  {
    name: 'settled',
    about: 'entries, elections, crashes, disks that lag',
    scene: settled,
    lag: lagging,
    bounds: (terms, entries) => ({ ...quiet, max_term: 1 + terms, proposals: entries, crashes: 1 }),
  },
  {
    name: 'long',
    about: 'the same with disks that never lag, so that more of it fits; messages that come twice',
    scene: settled,
    lag: prompt,
    bounds: (terms, entries) => ({
      ...quiet,
      max_term: 1 + terms,
      proposals: entries,
      crashes: 1,
      repeats: 1,
    }),
  },
  {
    name: 'reads',
    about: 'reads while leads change',
    scene: rivals,
    lag: prompt,
    bounds: (terms, entries) => ({
      ...quiet,
      max_term: 1 + terms,
      proposals: entries,
      reads: 2,
      heartbeats: 1,
    }),
  },
  {
    name: 'successor',
    about: 'reads and entries under a leader that does not know yet what is committed',
    scene: successor,
    lag: prompt,
    bounds: (terms, entries) => ({ ...quiet, max_term: 1 + terms, proposals: entries, reads: 1 }),
  },
  {
    name: 'transfer',
    about: 'the lead is handed over',
    scene: settled,
    lag: prompt,
    bounds: (terms, entries) => ({
      ...quiet,
      max_term: 1 + terms,
      proposals: entries,
      transfers: 1,
      reads: 1,
    }),
  },
  {
    name: 'membership',
    about: 'one change of the configuration, simple or joint, applied at any time',
    scene: settled,
    lag: { lazy_sync: false, lazy_apply: true },
    bounds: (terms) => ({ ...quiet, max_term: 1 + terms, proposals: 1, changes: 1, crashes: 1 }),
  },
  {
    name: 'figure-3.7',
    about: 'an entry of term 1 about to reach a majority in term 3',
    scene: figure37,
    lag: prompt,
    bounds: (terms, entries) => ({ ...quiet, max_term: 2 + terms, proposals: entries, crashes: 1 }),
  },
];

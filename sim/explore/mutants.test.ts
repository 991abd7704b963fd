/** Cores with one fault each: each is found, by its nearest trace, and the trace replays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCore } from '../../src/consensus/core.ts';
import { type Bounds, quiet } from './bounds.ts';
import type { Director } from './director.ts';
import { explore, replay } from './explore.ts';
import type { CoreFactory, Lag } from './host.ts';
import {
  carelessVoter,
  forgetfulVoter,
  hastyFollower,
  hastyLeader,
  hastyReader,
  hastyVoter,
  oldTermCommitter,
} from './mutants.ts';
import { figure37, rivals, settled } from './scenes.ts';

interface Case {
  readonly name: string;
  readonly mutant: CoreFactory;
  readonly scene?: (director: Director) => void;
  readonly bounds?: Partial<Bounds>;
  readonly lag?: Partial<Lag>;
  readonly breach: RegExp;
}

const cases: readonly Case[] = [
  {
    name: 'a vote is answered before it is on disk',
    mutant: hastyVoter,
    lag: { lazy_sync: true },
    breach: /^vote-reply @2>@1 t1 granted: left before term 1 was on disk$/,
  },
  {
    name: 'an entry is acknowledged before it is on disk',
    mutant: hastyFollower,
    lag: { lazy_sync: true },
    breach: /^append-reply @2>@1 t1 has 1: left before entry 1 was on disk$/,
  },
  {
    name: 'what is being written counts as written',
    mutant: hastyLeader,
    lag: { lazy_sync: true },
    breach: /left before term 1 was on disk$/,
  },
  {
    name: 'a member forgets its vote when it starts',
    mutant: forgetfulVoter,
    bounds: { crashes: 1 },
    breach: /^one vote a term: both t1 @1 for @\d and t1 @1 for @\d$/,
  },
  {
    name: 'votes go to anybody, whatever their log',
    mutant: carelessVoter,
    scene: settled,
    bounds: { max_term: 2, proposals: 1 },
    breach: /^leader completeness: @\d leads term 2 without 2\/1=aa$/,
  },
  {
    name: 'an entry of an older term is committed because a majority has it',
    mutant: oldTermCommitter,
    scene: figure37,
    bounds: { max_term: 3 },
    breach: /^leader completeness: @2 lacks 2\/1=aa, which is committed, and a quorum would elect it$/,
  },
  {
    name: 'a read is answered without asking a quorum',
    mutant: hastyReader,
    scene: rivals,
    bounds: { max_term: 2, reads: 1 },
    breach: /^read index: read 0 may be answered at 1, 2 was committed/,
  },
];

for (const { name, mutant, scene = () => undefined, bounds = {}, lag = {}, breach } of cases) {
  test(`found: ${name}`, (t) => {
    const common = {
      bounds: { ...quiet, ...bounds },
      lag: { lazy_sync: false, lazy_apply: false, ...lag },
      scene,
      states: 40_000,
      seed: 1,
      audits: 0,
    };
    const found = explore({ ...common, createCore: mutant });
    assert.ok(found.breach !== null, `not found in ${found.states} states`);
    assert.match(found.breach.what, breach);
    t.diagnostic(`${found.states} states, ${found.breach.trace.length - found.breach.scene_steps} steps`);
    assert.equal(replay({ createCore: mutant, lag: common.lag }, found.breach.trace), found.breach.what);
    const real = explore({ ...common, createCore, states: Math.min(found.states, 3_000) });
    assert.equal(real.breach, null, 'the real core does no such thing');
  });
}

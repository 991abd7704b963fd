/** The in-memory tail: what counts as durable, what may go, and the assertions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigHistory } from './config-history.ts';
import { configurationOf, encodeConfiguration } from './configuration.ts';
import { EntryLog } from './entry-log.ts';
import { InvariantError } from './invariant.ts';
import type { Entry } from './types.ts';

function entries(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => ({ index: first + i, term, kind: 'command', data: new Uint8Array(10) }));
}

test('a sync of entries that were replaced meanwhile counts for nothing, even if the same come back', () => {
  const log = new EntryLog({ index: 0, term: 0 }, []);
  log.append(entries(1, 1, 2, 2));
  assert.equal(log.takeUnwritten(1).length, 3);
  log.append(entries(2, 3));
  assert.deepEqual(log.takeUnwritten(2), entries(2, 3));
  log.append(entries(2, 2, 2));
  log.takeUnwritten(3);
  log.synced(1);
  assert.equal(log.durable, 1, 'of the first write only entry 1 is still there');
  log.synced(2);
  assert.equal(log.durable, 1);
  log.synced(3);
  assert.equal(log.durable, 3);
});

test('an append leaves no hole, no term falls, and what is durable stays in order', () => {
  const log = new EntryLog({ index: 4, term: 2 }, entries(5, 2, 3));
  assert.throws(() => log.append(entries(8, 3)), InvariantError);
  assert.throws(() => log.append(entries(7, 2)), InvariantError);
  assert.throws(() => log.append([...entries(7, 3), ...entries(9, 3)]), InvariantError);
  assert.throws(() => new EntryLog({ index: 4, term: 2 }, entries(6, 2)), InvariantError);
  assert.equal(log.lastIndex, 6);
});

test('entries kept behind the snapshot stay usable; a log that contradicts its snapshot is refused', () => {
  const log = new EntryLog({ index: 6, term: 2 }, entries(4, 1, 2, 2, 3));
  assert.equal(log.firstIndex, 5);
  assert.equal(log.term(4), 1);
  assert.equal(log.lastIndex, 7);
  assert.throws(() => new EntryLog({ index: 6, term: 5 }, entries(4, 1, 2, 2, 3)), InvariantError);
});

test('a slice is bounded by bytes but never empty', () => {
  const log = new EntryLog({ index: 0, term: 0 }, entries(1, 1, 1, 1, 1));
  assert.equal(log.slice(1, 4, 25).length, 2);
  assert.equal(log.slice(1, 4, 1).length, 1);
  assert.equal(log.slice(5, 4, 1).length, 0);
  log.compact(2);
  assert.throws(() => log.slice(2, 4), InvariantError);
});

test('compaction spares what is not durable', () => {
  const log = new EntryLog({ index: 0, term: 0 }, entries(1, 1));
  log.append(entries(2, 1, 1));
  log.takeUnwritten(1);
  log.compact(3);
  assert.equal(log.firstIndex, 2);
  log.synced(1);
  log.compact(3);
  assert.equal(log.firstIndex, 4);
  assert.equal(log.term(3), 1);
});

test('a snapshot keeps entries behind it only where the log agreed, and has them written again', () => {
  const agreeing = new EntryLog({ index: 0, term: 0 }, entries(1, 1, 2, 2));
  agreeing.restore({ index: 2, term: 2 });
  assert.equal(agreeing.durable, 2);
  assert.deepEqual(agreeing.takeUnwritten(1), entries(3, 2));
  const other = new EntryLog({ index: 0, term: 0 }, entries(1, 1, 1, 1));
  other.restore({ index: 2, term: 2 });
  assert.equal(other.lastIndex, 2);
  assert.equal(other.hasUnwritten(), false);
});

test('an uncommitted configuration is rolled back when its entry is replaced', () => {
  const of = (index: number, voters: number[]): Entry => ({
    index,
    term: 1,
    kind: 'config',
    data: encodeConfiguration(configurationOf(voters)),
  });
  const history = new ConfigHistory({ index: 0, configuration: configurationOf([1]) }, [of(2, [1, 2])]);
  history.forget(2);
  assert.equal(history.appended([of(5, [1, 2, 3])]), true);
  assert.deepEqual(history.current.voters, [1, 2, 3]);
  assert.deepEqual(history.committed(4).voters, [1, 2]);
  assert.equal(history.appended(entries(4, 2, 2)), true);
  assert.deepEqual(history.current.voters, [1, 2]);
  assert.throws(() => history.appended(entries(2, 2)), InvariantError);
  assert.throws(() => history.appended([{ ...of(6, [1]), data: new Uint8Array([1]) }]), InvariantError);
});

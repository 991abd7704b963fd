/** Standing down: when a host hears of a later generation of its cluster (docs/recover.md). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host, Records } from './host.ts';
import type { Member } from './member.ts';
import type { MemberFile } from './member-file.ts';
import { onSuperseded } from './recover-api.ts';
import { createTestEnv, settled } from './test-env.ts';

const theirs = { generation: 7, recovered_s: 5, recovered_by: 'n3' };
const file: MemberFile = {
  version: 1,
  cluster_uuid: 'c',
  cluster_name: 'lab',
  generation: 1,
  member: 1,
  node_uuid: 'node-1',
  node_name: 'n1',
  peers: [],
  pending_init: null,
};

test('heard before the member has started: the next greeting counts, and one stands down once', async () => {
  const did: string[] = [];
  const written: unknown[] = [];
  let member: Member | null = null;
  const membership: Partial<Records> = {
    write: async (_name, value) => {
      did.push('write');
      written.push(value);
    },
  };
  const heard = onSuperseded({
    env: createTestEnv(),
    host: { membership } as Host,
    member: () => member,
    stood: () => null,
    stop: async () => {
      did.push('stop');
    },
    keepCopy: async (name) => name,
    exit: (code) => did.push(`exit ${code}`),
  });
  heard(theirs);
  await settled();
  assert.deepEqual(did, []);
  member = { file, state: { list: () => [] as unknown } } as unknown as Member;
  heard(theirs);
  heard(theirs);
  await settled();
  assert.deepEqual(did, ['stop', 'write', 'exit 0']);
  assert.deepEqual(written, [{ ...file, superseded: theirs }]);
});

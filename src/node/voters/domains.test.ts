// Ganeti's location tags, and what stands in for them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createState } from '../../config/state.ts';
import { init } from '../../config/test-fixtures.ts';
import { failureDomains } from './domains.ts';
import { voterNodes } from './voter-nodes.ts';

test("the cluster's location tags say which tags of a node are domains", () => {
  const node = { tags: ['rack:1', 'racks:9', 'power:b', 'owner:me', 'rack'], group: 'default' };
  const convention = ['htools:nlocation:rack', 'htools:nlocation:power', 'htools:iextags:owner'];
  assert.deepEqual(failureDomains(convention, node), ['rack:1', 'power:b']);
  assert.deepEqual(failureDomains(convention, { ...node, tags: [] }), []);
});

test('without location tags the node groups are the domains', () => {
  assert.deepEqual(failureDomains(['owner:me'], { tags: ['rack:1'], group: 'default' }), ['group default']);
});

test('nodes of the replicated state, with the names of their groups', () => {
  const state = createState();
  assert.deepEqual(voterNodes(state), []);
  assert.equal(state.apply(1, init).ok, true);
  const [node] = voterNodes(state);
  const [known] = state.list('nodes');
  assert.deepEqual([node?.member, node?.name], [known?.member, known?.name]);
  assert.deepEqual(node?.domains, [`group ${state.list('groups')[0]?.name}`]);
});

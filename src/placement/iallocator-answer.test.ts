import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { failed, formatAnswer, opcodeOf, successful } from './iallocator-answer.ts';
import { cluster, instance, node } from './test-allocation.ts';

const of = cluster(
  [node('a'), node('b')],
  [instance('web', { primary: 0, secondary: 1 }), instance('later', { primary: 0, forthcoming: true })],
);
const opcode = (at: number, step: Parameters<typeof opcodeOf>[2]): string =>
  JSON.stringify(opcodeOf(of, at, step));

describe('IAllocator answers', () => {
  it('are one object with success, info and result, in this order', () => {
    assert.equal(
      formatAnswer(successful('success', ['a'])),
      '{"success":true,"info":"Request successful: success","result":["a"]}',
    );
    assert.equal(
      formatAnswer(failed('no "room"')),
      '{"success":false,"info":"Request failed: no \\"room\\"","result":[]}',
    );
  });

  it('have opcodes with the parameters that Ganeti gets from hail', () => {
    assert.equal(
      opcode(0, { kind: 'replace-secondary', node: 1 }),
      '{"OP_ID":"OP_INSTANCE_REPLACE_DISKS","instance_name":"web","early_release":false,"ignore_ipolicy":false,' +
        '"mode":"replace_new_secondary","disks":[],"remote_node":"b"}',
    );
    assert.equal(
      opcode(0, { kind: 'take-over', node: null }),
      '{"OP_ID":"OP_INSTANCE_MIGRATE","instance_name":"web","allow_runtime_changes":false,"ignore_ipolicy":false,' +
        '"cleanup":false,"allow_failover":true,"ignore_hvversions":true}',
    );
    assert.match(
      opcode(0, { kind: 'take-over', node: 1 }),
      /"instance_name":"web","target_node":"b","allow_runtime/,
    );
  });

  it('fail over what is only a reservation', () => {
    assert.equal(
      opcode(1, { kind: 'take-over', node: 1 }),
      '{"OP_ID":"OP_INSTANCE_FAILOVER","instance_name":"later","shutdown_timeout":120,"ignore_consistency":false,' +
        '"target_node":"b","ignore_ipolicy":false,"cleanup":false}',
    );
  });
});

/**
 * A rolling reboot of real hosts: every one of them goes down and comes up, its power cut by its own reboot program, the
 * leader's too; what ran is elsewhere meanwhile and back at the end, and the one job outlives all leaders. In the same lab,
 * balancing by `hbal`. And a host that is evacuated, of a real guest that runs and of one that does not.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  cli,
  cliOk,
  type Lab,
  leaderOf,
  othersThan,
  rowOf,
  rows,
  submit,
  submitAndWait,
  suiteLab,
  waitForJob,
  waitUntil,
} from './support.ts';
import { addGuest, countOnConsole, fakeGuestOp, guestProcesses, runsOnce } from './support-guest.ts';

const instances = { web1: 'n1', web2: 'n2', web3: 'n3' } as const;

async function places(lab: Lab, via: string): Promise<Record<string, unknown>> {
  const all = await rows(lab, via, 'instance');
  return Object.fromEntries(all.map((row) => [String(row.name), [row.pnode, row.oper_state]]));
}

const bootIds = (lab: Lab): readonly string[] =>
  lab.nodes.map((node) => readFileSync(node.boot_id_file, 'utf8'));

describe('maintenance', { timeout: 600_000 }, () => {
  const started = suiteLab();

  test('all hosts are rebooted, one by one, by one job that outlives its leaders', async (t) => {
    const lab = started();
    for (const [name, node] of Object.entries(instances)) {
      const job = await submitAndWait(lab, 'n1', fakeGuestOp(name, node));
      assert.equal(job.status, 'success', JSON.stringify(job.ops[0]?.result));
    }
    const before = bootIds(lab);
    const first_leader = await leaderOf(lab);
    const plan = await cliOk(lab, 'n2', ['maintenance', 'plan']);
    assert.match(plan, /group 1 of \d: n\d/);
    assert.match(plan, /failover web\d n\d -> n\d/);
    t.diagnostic(plan);

    const [id = 0] = await submit(lab, 'n2', [{ ops: [{ OP_ID: 'OP_MAINTENANCE_RUN' }] }]);
    // Held as soon as something has moved, it goes no further until it is let go.
    await waitUntil(
      async () => (await rows(lab, 'n2', 'node')).some((row) => row.drained === true),
      'a node to be drained',
    );
    await cliOk(lab, 'n2', ['maintenance', 'pause', '--why', 'a look first']);
    await waitUntil(
      async () => (await rowOf(lab, 'n2', 'job', String(id))).hold === 'a look first',
      'the job to be held',
    );
    assert.match(await cliOk(lab, 'n2', ['maintenance', 'status']), /waits: a look first/);
    assert.deepEqual(bootIds(lab), before, 'nothing is rebooted while it is held');
    await cliOk(lab, 'n2', ['maintenance', 'resume', String(id)]);

    const job = await waitForJob(lab, 'n2', id, 400_000);
    assert.equal(job.status, 'success', JSON.stringify(job.ops[0]));
    const after = bootIds(lab);
    for (const [at, boot] of after.entries()) assert.notEqual(boot, before[at], `n${at + 1} was rebooted`);
    const lines = job.ops[0]!.log.map(([, , , text]) => String(text));
    t.diagnostic(lines.join('\n'));
    assert.ok(lines.some((line) => /^group (\d) of \1 .* is done$/.test(line)));
    const nodes = await rows(lab, 'n2', 'node');
    assert.ok(nodes.every((row) => row.drained === false && row.health === 'member'));
    await waitUntil(async () => {
      const now = await places(lab, 'n2');
      return Object.entries(instances).every(([name, node]) => {
        const [pnode, running] = now[name] as [unknown, unknown];
        return pnode === node && running === true;
      });
    }, 'all instances to run where they were');
    t.diagnostic(`led by ${first_leader} at first, by ${await leaderOf(lab)} in the end`);
  });

  test('hbal -L -X: what one host carries is spread over all, by jobs, and only if it may be restarted', async (t) => {
    const lab = started();
    const names = ['even1', 'even2', 'even3', 'even4', 'even5', 'even6'];
    for (const name of names) {
      const op = { ...fakeGuestOp(name, 'n1'), disk_template: 'sharedfile', disks: [{ size: 64 }] };
      const job = await submitAndWait(lab, 'n1', { ...op, beparams: { maxmem: 256, minmem: 256 } });
      assert.equal(job.status, 'success', JSON.stringify(job.ops[0]?.result));
    }
    const hosts = async (): Promise<readonly unknown[]> => {
      const now = await places(lab, 'n2');
      return names.map((name) => now[name]);
    };
    const before = await hosts();
    const hbal = ['htools', 'hbal', '-L', '-X', '--select-instances', names.join(',')];
    const refused = await cli(lab, 'n2', hbal);
    assert.equal(refused.code, 1, refused.stdout);
    assert.match(refused.stderr, /nothing was submitted.*\n {2}even\d: it runs, and live migration/);
    assert.deepEqual(await hosts(), before);

    const done = await cliOk(lab, 'n2', [...hbal, '--allow-restart', '--reason', 'even it']);
    t.diagnostic(done);
    const ids = [...done.matchAll(/^Got job IDs (.*)$/gm)].flatMap(([, list = '']) => list.split(','));
    assert.ok(ids.length >= 4, `${ids.length} jobs, expected at least 4`);
    for (const id of ids) {
      const job = await rowOf(lab, 'n1', 'job', id);
      assert.equal(job.status, 'success');
    }
    // It said so when they had ended: nothing is waited for.
    const now = (await hosts()) as readonly (readonly [string, boolean])[];
    for (const node of ['n1', 'n2', 'n3']) {
      assert.equal(now.filter(([host]) => host === node).length, 2, JSON.stringify(now));
    }
    assert.ok(now.every(([, runs]) => runs));
    assert.match(await cliOk(lab, 'n3', hbal), /No solution found|already well balanced/);
    // Who leads is the master to the htools: hroller has it last.
    const groups = await cliOk(lab, 'n3', ['htools', 'hroller', '-L', '--no-headers']);
    assert.equal(groups.trim().split(/[\n,]/).at(-1), await leaderOf(lab), groups);
  });
});

describe('evacuation', { timeout: 480_000 }, () => {
  const started = suiteLab({ hypervisor: 'kvm' });

  test('a host is left by a guest that runs and by one that does not; its local disks and its guests have a say', async (t) => {
    const lab = started();
    const steady = await leaderOf(lab);
    const [home = '', other = ''] = othersThan(lab, steady);
    await addGuest(lab, steady, 'web1', home);
    await addGuest(lab, steady, 'idle1', home, { start: false });
    await addGuest(lab, steady, 'local1', home, { template: 'file', start: false });
    const counted = await countOnConsole(lab, steady, 'web1');
    const owners = async () =>
      Object.fromEntries((await rows(lab, steady, 'instance')).map((row) => [row.name, row.pnode]));
    const everywhere = { web1: home, idle1: home, local1: home };

    const stuck = await cli(lab, other, ['node', 'evacuate', home, '--allow-restart', '--force']);
    assert.equal(stuck.code, 1);
    assert.match(
      stuck.stderr,
      /Unable to evacuate instances local1 \(Instances of type file cannot be relocated\)/,
    );
    await cliOk(lab, steady, ['instance', 'remove', '--force', 'local1']);
    const unasked = await cli(lab, other, ['node', 'evacuate', home]);
    assert.equal(unasked.code, 1);
    assert.match(unasked.stderr, /these instances run: web1; .*--allow-restart/);
    const plan = await cliOk(lab, other, ['node', 'evacuate', home, '--allow-restart', '--dry-run']);
    t.diagnostic(plan);
    assert.match(plan, /^web1 +n\d +is stopped, and started there/m);
    assert.match(plan, /^idle1 +n\d +stays stopped/m);
    const { local1: _, ...two } = everywhere;
    assert.deepEqual(await owners(), two);

    const done = await cli(lab, other, ['node', 'evacuate', home, '--allow-restart', '--force'], {
      timeout_ms: 240_000,
    });
    t.diagnostic(done.stderr);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stderr, new RegExp(`skein node modify ${home} --drained yes\\n$`));
    assert.ok(Object.values(await owners()).every((node) => node !== home));
    const { node } = await runsOnce(lab, steady, 'web1');
    assert.notEqual(node, home);
    assert.deepEqual(guestProcesses(lab, 'idle1'), []);
    const after = await countOnConsole(lab, steady, 'web1');
    assert.ok(after[0]! > counted.at(-1)!, `${after} after ${counted}: it counts on from its disk`);
    assert.equal((await rowOf(lab, steady, 'node', home)).drained, false);
    const again = await cliOk(lab, other, ['node', 'evacuate', home, '--dry-run']);
    assert.match(again, /nothing is to be moved/);
  });
});

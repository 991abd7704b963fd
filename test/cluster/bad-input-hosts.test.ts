/**
 * Faults of the host under an agent: a flipped bit in its log, a full disk, a missing QEMU, an operating system's
 * script that fails or hangs. The host says what is wrong, nothing acknowledged is lost, nothing is left behind, and
 * the others go on.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { labPowerOff, labPowerOn } from '../../cli/lab/faults.ts';
import { hostProcesses, logFile, packageRoot } from '../../cli/lab/host.ts';
import { runTool } from '../../cli/lab/run-tool.ts';
import type { OpInput } from '../../src/config/model.ts';
import { mustSucceed, observe, withHookedLab } from './jobs-support.ts';
import {
  cli,
  commandLine,
  keeperPid,
  type Lab,
  leaderOf,
  rows,
  sameState,
  statusOf,
  submit,
  submitAndWait,
  waitForJob,
  waitForVoters,
  waitUntil,
} from './support.ts';

const daemon_path = join(packageRoot(), 'bin', 'skeind');

function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'skb-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A daemon that first does `script` as root of its own mount namespace; in it `$data` is the host's data directory. */
function daemonAfter(dir: string, script: string): readonly string[] {
  const inner = join(dir, 'inner');
  const outer = join(dir, 'outer');
  writeFileSync(
    inner,
    `#!/bin/sh\nset -e\ndata= name= previous=\nfor word in "$@"; do\n` +
      `  case $previous in --data) data=$word ;; --name) name=$word ;; esac\n  previous=$word\ndone\n` +
      `${script}\nexec ${daemon_path} "$@"\n`,
  );
  writeFileSync(outer, `#!/bin/sh\nexec unshare --mount --propagation private -- /bin/sh ${inner} "$@"\n`);
  for (const file of [inner, outer]) chmodSync(file, 0o755);
  return [outer];
}

function logLines(lab: Lab, name: string): readonly string[] {
  return readFileSync(logFile(lab.node(name)), 'utf8').split('\n');
}

const tag = (text: string): OpInput => ({ OP_ID: 'OP_TAGS_SET', kind: 'cluster', tags: [text] });
const tagsOf = async (lab: Lab, name: string) =>
  new Set((await rows(lab, name, 'tag')).map((row) => String(row.tag)));

test('a flipped bit in a follower’s log: it says so, begins anew under a new number, and counts again; nothing is lost', {
  timeout: 300_000,
}, async (t) => {
  const lab = await withHookedLab(t);
  await lab
    .node('n1')
    .call('raft.transfer', { to: 'n1' })
    .catch((error: Error) => t.diagnostic(error.message));
  await waitUntil(async () => (await statusOf(lab, 'n3'))?.role === 'follower', 'n3 to follow');
  for (let at = 0; at < 10; at++) await mustSucceed(lab, 'n1', [tag(`before-${at}`)]);
  await sameState(lab);
  const old = (await statusOf(lab, 'n3'))?.member ?? 0;
  await labPowerOff(lab, 'n3');

  const node = lab.node('n3');
  const segments = join(node.data_dir, 'log');
  const file = readdirSync(segments)
    .map((name) => join(segments, name))
    .filter((path) => readFileSync(path).includes('before-3'))
    .at(-1);
  assert.ok(file, 'the log holds what was written, in plain bytes');
  const bytes = readFileSync(file);
  const at = bytes.indexOf('before-3');
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
  writeFileSync(file, bytes);
  const name = file.split('/').at(-1) ?? '';

  const mark = logLines(lab, 'n3').length;
  const said = (pattern: RegExp) =>
    logLines(lab, 'n3')
      .slice(mark - 1)
      .find((line) => pattern.test(line));
  await labPowerOn(lab, 'n3', [daemon_path]);
  const complaint = await waitUntil(
    () => said(/the storage of this host is damaged/),
    'n3 to say that its log is damaged',
  );
  assert.ok(complaint.includes(name), complaint);
  await waitUntil(async () => ((await statusOf(lab, 'n3'))?.member ?? 0) > old, 'n3 to have a new number');
  for (const via of ['n1', 'n2']) await mustSucceed(lab, via, [tag(`after-${via}`)]);
  await waitForVoters(lab, 3);
  await sameState(lab);
  assert.equal(said(/"agent ended".*"code":70/), undefined, 'it never ended by itself');
  const tags = await tagsOf(lab, 'n3');
  for (let each = 0; each < 10; each++) assert.ok(tags.has(`before-${each}`));
  // It counts: without it nothing could be committed now.
  await labPowerOff(lab, 'n2');
  await mustSucceed(lab, 'n1', [tag('with-n3')]);
});

test('the leader’s disk is full: it says so, another leads, no acknowledged write is lost, and it comes back', {
  timeout: 300_000,
}, async (t) => {
  const dir = scratch(t);
  const daemon = daemonAfter(dir, '[ "$name" != n3 ] || mount -t tmpfs -o size=64m,mode=0700 tmpfs "$data"');
  const lab = await withHookedLab(t, { daemon });
  const enter = ['nsenter', `--mount=/proc/${keeperPid(lab, 'n3')}/ns/mnt`, '--'] as const;
  const filler = join(lab.node('n3').data_dir, 'filler');
  await lab.node('n1').call('raft.transfer', { to: 'n3' });
  await waitUntil(async () => (await leaderOf(lab)) === 'n3', 'n3 to lead');
  const acknowledged: string[] = [];
  for (let at = 0; at < 5; at++) {
    await mustSucceed(lab, 'n1', [tag(`roomy-${at}`)]);
    acknowledged.push(`roomy-${at}`);
  }
  const mark = logLines(lab, 'n3').length;
  const said = (pattern: RegExp) =>
    logLines(lab, 'n3')
      .slice(mark - 1)
      .find((line) => pattern.test(line));
  // The log has a reserve, and compaction frees space: both are taken again and again until nothing is left.
  const reason: readonly (readonly [string, string, number])[] = Array.from({ length: 12 }, () => [
    'test',
    'f'.repeat(4_096),
    0,
  ]);
  for (let round = 0; round < 60 && !said(/"agent ended"/); round++) {
    await runTool([...enter, 'dd', 'if=/dev/zero', `of=${filler}-${round}`, 'bs=16k']).then(
      () => assert.fail('the disk took more than it has'),
      (error: Error) => assert.match(error.message, /No space left/),
    );
    for (let at = 0; at < 8 && !said(/"agent ended"/); at++) {
      const text = `full-${round}-${at}`;
      const [id = 0] = await submit(lab, 'n1', [{ ops: [tag(text)], reason }]);
      const job = await waitForJob(lab, 'n1', id);
      if (job.status === 'success') acknowledged.push(text);
    }
  }
  const ended = said(/"agent ended"/);
  assert.ok(ended, 'a leader that cannot write must not go on');
  assert.ok(said(/"the disk is full; the reserve of the log is given up"/));
  assert.match(said(/"fatal"/) ?? '', /ENOSPC|no space left/i);
  assert.equal((JSON.parse(ended) as { code: number }).code, 71, ended);
  const leader = await leaderOf(lab, { among: ['n1', 'n2'] });
  t.diagnostic(`${acknowledged.length} writes until the disk was full; ${leader} leads`);
  for (const name of ['n1', 'n2']) {
    await mustSucceed(lab, name, [tag(`without-${name}`)]);
    acknowledged.push(`without-${name}`);
  }
  const has = await tagsOf(lab, 'n2');
  assert.deepEqual(
    acknowledged.filter((text) => !has.has(text)),
    [],
  );

  await runTool([...enter, 'find', lab.node('n3').data_dir, '-name', 'filler-*', '-delete']);
  await sameState(lab);
  await mustSucceed(lab, 'n3', [tag('again')]);
  const back = await tagsOf(lab, 'n3');
  assert.deepEqual(
    acknowledged.filter((text) => !back.has(text)),
    [],
  );
});

test('no QEMU on the hosts: a creation is refused before anything is changed, and names the package', {
  timeout: 180_000,
}, async (t) => {
  const dir = scratch(t);
  const hidden = ['/usr/bin/qemu-system-x86_64', '/usr/bin/kvm', '/usr/bin/qemu-system-i386'];
  const daemon = daemonAfter(
    dir,
    hidden.map((path) => `[ ! -e ${path} ] || mount --bind /dev/null ${path}`).join('\n'),
  );
  const lab = await withHookedLab(t, { hypervisor: 'kvm', daemon });
  const looks = await observe(lab, 'n1');
  const answer = await cli(lab, 'n2', [
    ...['instance', 'add', '-t', 'sharedfile', '-s', '4m', '-o', 'noop', '-n', 'n3', 'web'],
  ]);
  assert.equal(answer.code, 1, answer.stdout + answer.stderr);
  assert.match(answer.stderr, /node n3 cannot take instance web: .*qemu-system-x86/);
  const [job] = await rows(lab, 'n1', 'job');
  assert.match(JSON.stringify(job?.oplog), /^\[\[\]\]$/);
  assert.deepEqual(await observe(lab, 'n1'), looks);
  assert.deepEqual(readdirSync(join(lab.dir, 'shared')), []);
});

/** OS definitions of our own; `$HOLD` is a sign that their processes carry. */
function makeDefinitions(dir: string, sign: string): string {
  const definitions = join(dir, 'os');
  const make = (name: string, create: string) => {
    const own = join(definitions, name);
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, 'ganeti_api_version'), '10\n');
    for (const script of ['create', 'import', 'export', 'rename']) {
      writeFileSync(join(own, script), `#!/bin/sh\n${script === 'create' ? create : 'exit 1'}\n`);
      chmodSync(join(own, script), 0o755);
    }
  };
  make('failing', 'echo "first line of it"\necho "the mirror is on fire" >&2\nexit 3');
  make('hanging', `echo "hanging now"\nsh -c 'trap "" TERM; sleep ${sign}' &\nsleep ${sign}`);
  chmodSync(dir, 0o755);
  return definitions;
}

test('an OS script that fails, or hangs and is canceled: undone, nothing left', {
  timeout: 240_000,
}, async (t) => {
  const dir = scratch(t);
  const sign = `86399.${process.pid}`;
  const lab = await withHookedLab(t, {}, { SKEIN_OS_PATH: makeDefinitions(dir, sign) });
  const create = (name: string, os: string): OpInput => ({
    OP_ID: 'OP_INSTANCE_CREATE',
    ...{ instance_name: name, mode: 'create', disk_template: 'sharedfile', disks: [{ size: 4 }], nics: [] },
    ...{ os_type: os, beparams: { maxmem: 64, minmem: 64 }, pnode: 'n2' },
  });
  const looks = await observe(lab, 'n1');
  const failed = await submitAndWait(lab, 'n3', create('burnt', 'failing'));
  assert.equal(failed.status, 'error');
  assert.match(JSON.stringify(failed.ops[0]?.result), /install failed on node n2: .*the mirror is on fire/);
  await waitUntil(async () => JSON.stringify(await observe(lab, 'n1')) === JSON.stringify(looks), 'no trace');

  const running = () =>
    lab.nodes.flatMap((node) => hostProcesses(node)).filter(({ pid }) => commandLine(pid).includes(sign));
  for (const leader_dies of [false, true]) {
    const [id = 0] = await submit(lab, 'n3', [{ ops: [create('stuck', 'hanging')] }]);
    await waitUntil(() => running().length >= 2, 'both processes of the script to run');
    if (leader_dies) {
      const leader = await leaderOf(lab);
      const pid = (await statusOf(lab, leader))?.pid ?? 0;
      process.kill(pid, 'SIGKILL');
      await leaderOf(lab, { among: lab.nodes.map(({ name }) => name).filter((name) => name !== leader) });
    }
    await waitUntil(async () => {
      await lab.node('n3').call('job.cancel', { job: id });
      return true;
    }, 'the cancellation to be taken');
    const job = await waitForJob(lab, 'n3', id);
    assert.ok(
      job.status === 'canceled' || (leader_dies && job.status === 'error'),
      JSON.stringify(job.ops[0]?.result),
    );
    await waitUntil(() => running().length === 0, 'the script’s processes to be gone');
    await sameState(lab);
    await waitUntil(
      async () => JSON.stringify(await observe(lab, 'n1')) === JSON.stringify(looks),
      'no trace',
    );
  }
  await mustSucceed(lab, 'n1', [{ ...create('fine', 'noop') }]);
  assert.ok(existsSync(join(lab.dir, 'shared')) && statSync(lab.dir).isDirectory());
});
